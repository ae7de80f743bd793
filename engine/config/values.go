package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/ashi-stream/ashi/engine/kafka"
)

// set gives a field the value that a text stands for. The text is printed in errors: secrets have
// no errors that print it.
func set(v reflect.Value, tag reflect.StructTag, text string) error {
	if none, ok := tag.Lookup("none"); ok && text == "none" {
		n, err := strconv.ParseInt(none, 10, 64)
		v.SetInt(n)
		return err
	}
	switch v.Interface().(type) {
	case kafka.Secret:
		if text == "" {
			return errors.New("is empty: leave it out where there is none")
		}
		v.Set(reflect.ValueOf(kafka.NewSecret(text)))
		return nil
	case time.Duration:
		return setDuration(v, tag, text)
	case size:
		return setSize(v, tag, text)
	case int64:
		return setNumber(v, tag, text)
	case bool, *bool:
		return setBool(v, text)
	}
	if enum := tag.Get("enum"); enum != "" {
		return setEnum(v, strings.Split(enum, ","), text)
	}
	v.SetString(text)
	return checkForm(tag.Get("form"), text)
}

func setDuration(v reflect.Value, tag reflect.StructTag, text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		if n, e := strconv.ParseFloat(text, 64); e == nil && n != 0 {
			return fmt.Errorf("%s has no unit: write %ss for seconds, %sms for milliseconds", text, text, text)
		}
		return fmt.Errorf("%q is no duration: write a number and its unit, such as 500ms, 30s, 15m or 1h30m%s", text,
			orNone(tag))
	}
	bound := func(name string) (time.Duration, bool) {
		b, err := time.ParseDuration(tag.Get(name))
		return b, err == nil
	}
	if least, ok := bound("min"); ok && d < least {
		return fmt.Errorf("%s is too short: give %s or more%s", text, tag.Get("min"), orNone(tag))
	}
	if most, ok := bound("max"); ok && d > most {
		return fmt.Errorf("%s is too long: give %s at most", text, tag.Get("max"))
	}
	v.SetInt(int64(d))
	return nil
}

func setSize(v reflect.Value, tag reflect.StructTag, text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("%q is no size: write a number and its unit, such as 64MiB or 2GiB", text)
	}
	if least, err := humanize.ParseBytes(tag.Get("min")); err == nil && n < least {
		return fmt.Errorf("%s is too small: give %s or more%s", text, tag.Get("min"), unitless(text))
	}
	if most, err := humanize.ParseBytes(tag.Get("max")); err == nil && n > most {
		return fmt.Errorf("%s is too large: give %s at most", text, tag.Get("max"))
	}
	v.SetInt(int64(n))
	return nil
}

// unitless helps those who meant another unit than bytes.
func unitless(text string) string {
	if _, err := strconv.Atoi(text); err != nil {
		return ""
	}
	return fmt.Sprintf("; without a unit these are bytes: did you mean %sMiB?", text)
}

func setNumber(v reflect.Value, tag reflect.StructTag, text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("%q is no whole number: give one%s", text, orNone(tag))
	}
	if least, err := strconv.ParseInt(tag.Get("min"), 10, 64); err == nil && n < least {
		return fmt.Errorf("%s is too small: give %d or more%s", text, least, orNone(tag))
	}
	if most, err := strconv.ParseInt(tag.Get("max"), 10, 64); err == nil && n > most {
		return fmt.Errorf("%s is too large: give %d at most", text, most)
	}
	v.SetInt(n)
	return nil
}

func orNone(tag reflect.StructTag) string {
	if _, ok := tag.Lookup("none"); ok {
		return ", or none"
	}
	return ""
}

func setBool(v reflect.Value, text string) error {
	b := text == "true"
	if !b && text != "false" {
		return fmt.Errorf("%q is neither true nor false: write one of them", text)
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.ValueOf(&b))
	} else {
		v.SetBool(b)
	}
	return nil
}

func setEnum(v reflect.Value, values []string, text string) error {
	for _, value := range values {
		if value == text {
			v.SetString(value)
			return nil
		}
	}
	meant := ""
	if near := nearest(text, values); near != "" {
		meant = fmt.Sprintf(": did you mean %s?", near)
	}
	return fmt.Errorf("must be %s, not %q%s", oneOf(values), text, meant)
}

// checkForm is about texts that stand for something.
func checkForm(form, text string) error {
	switch form {
	case "file":
		f, err := os.Open(text)
		if err == nil {
			return f.Close()
		}
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return fmt.Errorf("file %s cannot be read: %w", text, err)
	case "hostport":
		host, port, err := net.SplitHostPort(text)
		switch {
		case strings.Contains(text, "://"):
			_, address, _ := strings.Cut(text, "://")
			return fmt.Errorf("%q is no address: write %s; encryption is a matter of messaging.tls", text, address)
		case err != nil && !strings.Contains(text, ":"):
			return fmt.Errorf("%q has no port: write %s:9092, or whichever the broker listens on", text, text)
		case err != nil || host == "":
			return fmt.Errorf("%q is no address: write host:port", text)
		}
		return checkPort(text, port)
	case "url":
		return checkURL(text)
	case "listen":
		port := text
		if strings.Contains(text, ":") {
			var err error
			if _, port, err = net.SplitHostPort(text); err != nil {
				port = ""
			}
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return fmt.Errorf("%q is neither host:port nor a port", text)
		}
	}
	return nil
}

// checkURL does not print what may hold a password.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case strings.Contains(text, "@"):
		return errors.New(
			"a URL here has no user and password: give registry.user, and registry.passwordFile or registry.password")
	case !strings.Contains(text, "://"):
		return fmt.Errorf("%q is no URL: write https://%s, or http://%s", text, text, text)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%q is no URL of a registry: write https://host:port, or http://host:port", text)
	}
	return nil
}

func checkPort(text, port string) error {
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q: %q is no port: give a number from 0 to 65535", text, port)
	}
	return nil
}
