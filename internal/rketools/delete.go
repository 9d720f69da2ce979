package rketools

import (
	"context"
	"errors"
)

// remove deletes a snapshot.
func remove(context.Context, deleteOptions) error { return errors.New("not written yet") }
