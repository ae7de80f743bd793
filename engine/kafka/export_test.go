package kafka

import "context"

// FlushForTest writes an open transaction's records without ending it.
func (p *Producer) FlushForTest(ctx context.Context) error { return p.client.Flush(ctx) }
