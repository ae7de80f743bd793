package entity

import "github.com/cockroachdb/apd/v3"

// Fit gives d the column's scale. False: digits would be lost, those before the point that
// Precision leaves no room for, or those behind it. A column without a Precision takes every number
// as it is. d is not changed; the result may be d.
func (c *Column) Fit(d *apd.Decimal) (*apd.Decimal, bool) {
	fitted, condition := c.quantize(d)
	return fitted, condition == 0
}

// Round is Fit, save that digits behind the point that are too many are rounded away, half away
// from zero as ksqlDB does. exact is false where that has changed the number; ok is false where the
// digits before the point are too many.
func (c *Column) Round(d *apd.Decimal) (fitted *apd.Decimal, exact, ok bool) {
	fitted, condition := c.quantize(d)
	return fitted, condition == 0, condition&^apd.Inexact == 0
}

func (c *Column) quantize(d *apd.Decimal) (*apd.Decimal, apd.Condition) {
	if c.Precision == 0 {
		return d, 0
	}
	context := apd.BaseContext.WithPrecision(uint32(c.Precision))
	context.Rounding, context.Traps = apd.RoundHalfUp, 0
	var fitted apd.Decimal
	condition, _ := context.Quantize(&fitted, d, -int32(c.Scale))
	if fitted.Form != apd.Finite {
		condition |= apd.InvalidOperation
	}
	return &fitted, condition & (apd.Inexact | apd.InvalidOperation | apd.Overflow | apd.Underflow)
}
