package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Of a folder of kfake: each partition's batches are in files of segments, and beside each is an
// index with an entry for each batch.
const (
	segmentSuffix = ".dat"
	indexSuffix   = ".idx"
	indexEntry    = 15 // bytes

	// Of a batch on disk: its length is that of what follows the length.
	batchPrefix = 12
	lengthAt    = 8
)

// mend makes the folder of a broker that was killed whole, before the next one opens it. kfake
// writes a batch and then its entry of the index, which alone says that it belongs to a
// transaction. Where it was killed in between, later entries would be taken for those of the
// batches before, and what was aborted would come back. Such a batch was not acknowledged, so it is
// cut off.
func mend(dir string) error {
	return eachFile(dir, segmentSuffix, cutToIndex)
}

// forget removes what kfake knows of the partitions beside their logs. It reads those anew.
func forget(dir string) error {
	return eachFile(dir, "snapshot.json", os.Remove)
}

// eachFile calls do for the files of partitions whose names end like that.
func eachFile(dir, suffix string, do func(path string) error) error {
	return filepath.WalkDir(filepath.Join(dir, "partitions"), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // nothing was ever written
		case err != nil || entry.IsDir() || !strings.HasSuffix(path, suffix):
			return err
		}
		return do(path)
	})
}

// cutToIndex cuts off the batches of a segment that have no entry in its index.
func cutToIndex(segment string) error {
	entries := 0
	switch info, err := os.Stat(strings.TrimSuffix(segment, segmentSuffix) + indexSuffix); {
	case err == nil:
		entries = int(info.Size() / indexEntry)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	file, err := os.OpenFile(segment, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var end int64
	for range entries {
		var prefix [batchPrefix]byte
		if _, err := file.ReadAt(prefix[:], end); errors.Is(err, io.EOF) {
			return nil // kfake cuts an index that is too long
		} else if err != nil {
			return err
		}
		end += batchPrefix + int64(binary.BigEndian.Uint32(prefix[lengthAt:]))
	}
	if info.Size() <= end {
		return nil
	}
	if err := file.Truncate(end); err != nil {
		return fmt.Errorf("cut %s: %w", segment, err)
	}
	return nil
}
