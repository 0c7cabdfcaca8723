package sheets

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"

	"payrun/importers"
)

// mostCells bounds a copy: the library holds the whole sheet in memory, and
// fills the gaps in its rows with cells. 50,000 rows of ten columns are less.
const mostCells = 600_000

// openCopy opens the sheet for changes, or makes a workbook from its text.
func openCopy(ctx context.Context, source string, rules importers.Rules, j Judgement) (*annotation, error) {
	content, err := os.ReadFile(source)
	if err != nil {
		return nil, err
	}
	if digest := sha256.Sum256(content); hex.EncodeToString(digest[:]) != j.Sheet.Digest {
		return nil, ErrChanged
	}
	temp, err := os.MkdirTemp(rules.TempDir, "payrun-")
	if err != nil {
		return nil, fmt.Errorf("make room for the copy: %w", err)
	}
	a := &annotation{Judgement: j, temp: temp, sheet: j.Sheet.Sheet, columns: rules.MostColumns(), assigned: rules.LastAssigned(), channels: rules.Channels, marks: map[int]string{}}
	if a.channels == nil {
		a.channels = importers.DefaultChannels()
	}
	switch {
	case j.Sheet.Sheet == "":
		a.file, err = fromText(ctx, source, j.Sheet.HeaderRow, rules)
		a.sheet = PayoutsSheet
	default:
		a.file, err = openWorkbook(content, temp)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(temp))
	}
	a.looks = newLooks(a.file)
	return a, nil
}

func (a *annotation) close() {
	_ = a.file.Close() // removes temporary files, and so does the next line
	_ = os.RemoveAll(a.temp)
}

// openWorkbook keeps everything in memory; the importer has checked what the
// parts unpack to.
func openWorkbook(content []byte, temp string) (*excelize.File, error) {
	const unpacked = 1 << 30 // bytes, more than an importer takes
	file, err := excelize.OpenReader(bytes.NewReader(content), excelize.Options{UnzipSizeLimit: unpacked, UnzipXMLSizeLimit: unpacked, TmpDir: temp})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsuitable, err)
	}
	return file, nil
}

// fromText makes a workbook from a csv file, row by row at its number, with
// every cell as text, so that no program takes a wallet for a number.
func fromText(ctx context.Context, source string, header int, rules importers.Rules) (*excelize.File, error) {
	file := excelize.NewFile()
	err := errors.Join(file.SetSheetName(file.GetSheetName(0), PayoutsSheet), fillText(ctx, file, source, header, rules))
	if errors.As(err, new(*importers.FileError)) {
		err = fmt.Errorf("%w: %s", ErrUnsuitable, strings.TrimSuffix(err.Error(), "."))
	}
	return file, err
}

func fillText(ctx context.Context, file *excelize.File, source string, header int, rules importers.Rules) error {
	looks := newLooks(file)
	asText, err := looks.of(textLook, 0)
	heading, headingErr := looks.of(strongLook, 0)
	if err := errors.Join(err, headingErr); err != nil {
		return err
	}
	var widths []int
	filled := 0
	err = importers.EachRow(ctx, source, rules, func(row int, cells []string) error {
		if filled += 1 + len(cells); filled > mostCells || row > excelize.TotalRows {
			return ErrTooLarge
		}
		style := asText
		if row == header {
			style = heading
		}
		for i, text := range cells {
			if len(widths) <= i {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
			cell, err := excelize.CoordinatesToCellName(i+1, row)
			if err := errors.Join(err, file.SetCellStyle(PayoutsSheet, cell, cell, style)); err != nil {
				return err
			}
			if text == "" {
				continue
			}
			if err := file.SetCellStr(PayoutsSheet, cell, text); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return fitColumns(file, widths)
}

func fitColumns(file *excelize.File, longest []int) error {
	const narrow, wide, air = 8, 40, 3
	for i, letters := range longest {
		letter, err := excelize.ColumnNumberToName(i + 1)
		if err != nil {
			return err
		}
		if err := file.SetColWidth(PayoutsSheet, letter, letter, float64(min(max(letters+air, narrow), wide))); err != nil {
			return err
		}
	}
	return nil
}
