package ashi_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The rules that hold for every file of the project. Each is a function from files to complaints,
// so that its test can also feed it a file that breaks it.

const module = "github.com/ashi-stream/ashi"

// modules gives the import path behind each word that docs/design.md uses for a module.
var modules = map[string]string{
	"ashi":     module,
	"goka":     "github.com/lovoo/goka",
	"sarama":   "github.com/IBM/sarama",
	"franz-go": "github.com/twmb/franz-go",
	"kfake":    "github.com/twmb/franz-go/pkg/kfake",
	"grocksdb": "github.com/linxGnu/grocksdb",

	"yaml":        "go.yaml.in/yaml",
	"levenshtein": "github.com/agnivade/levenshtein",
	"humanize":    "github.com/dustin/go-humanize",
	"otel":        "go.opentelemetry.io/otel",
}

// source is what the rules look at in one Go file.
type source struct {
	path      string // relative to the root, with slashes
	pkg       string
	doc       string
	imports   []string
	lines     int
	excused   bool // it says why it is long
	generated bool
}

func (s source) folder() string { return path.Dir(s.path) }
func (s source) test() bool     { return strings.HasSuffix(s.path, "_test.go") }

// rule says that files below a folder must not import a path or anything below it.
type rule struct {
	folder, word, path string
}

// owner says that only files below some folders may import a path.
type owner struct {
	word, path string
	folders    []string
}

// maxLines is where a file has to say why it is not two.
const maxLines = 500

var longReason = regexp.MustCompile(`(?m)^// Long file: \S+`)

func TestImportsKeepTheTablesOfTheDesign(t *testing.T) {
	design, err := os.ReadFile("docs/design.md")
	require.NoError(t, err)
	forbidden, err := readForbidden(string(design))
	require.NoError(t, err)
	owners, err := readOwners(string(design))
	require.NoError(t, err)

	files := load(t)
	require.NotEmpty(t, files)
	require.Empty(t, withoutRow(files, string(design)))
	require.Empty(t, forbiddenImports(files, forbidden))
	require.Empty(t, foreignImports(files, owners))
}

func TestImportRulesCanFail(t *testing.T) {
	design := "| folder | one job | must not import |\n| --- | --- | --- |\n" +
		"| `windows/` | x | anything of `ashi` |\n| `topology/`, `dsl/` | x | `engine`, `franz-go` |\n\nend\n" +
		"| module | imported only by | why |\n| --- | --- | --- |\n" +
		"| `franz-go` | `engine/kafka` | x |\n| `kfake` | `engine/embedded` | x |\n"
	forbidden, err := readForbidden(design)
	require.NoError(t, err)
	owners, err := readOwners(design)
	require.NoError(t, err)

	file := func(path string, imports ...string) []source { return []source{{path: path, imports: imports}} }
	require.Len(t, forbiddenImports(file("windows/session/a.go", module+"/stores"), forbidden), 1)
	require.Len(t, forbiddenImports(file("dsl/entity/a.go", module+"/engine/kafka", modules["kfake"]), forbidden), 2)
	require.Empty(t, forbiddenImports(file("windows/a.go", module+"/windows/session", "time"), forbidden),
		"a folder may import itself")
	require.Empty(t, forbiddenImports(file("dsl/a.go", module+"/enginetest"), forbidden),
		"a folder's name is no prefix of another's")
	require.Len(t, foreignImports(file("engine/a.go", modules["franz-go"]+"/pkg/kgo"), owners), 1)
	require.Len(t, foreignImports(file("engine/embedded/a.go", modules["franz-go"]+"/pkg/kgo", modules["kfake"]),
		owners), 1)
	require.Empty(t, foreignImports(file("bench/e2e/a.go", modules["kfake"]), owners))
	require.Len(t, withoutRow(file("extras/a.go"), design), 1)

	_, err = readForbidden(strings.Replace(design, "`engine`", "`enigne`", 1))
	require.ErrorContains(t, err, "enigne", "a misspelt word must not disarm its rule")
	_, err = readForbidden("no table")
	require.Error(t, err)
}

func TestEveryPackageHasADocComment(t *testing.T) {
	require.Empty(t, undocumented(load(t)))

	require.Len(t, undocumented([]source{{path: "a/a.go", pkg: "a"}, {path: "a/a_test.go", pkg: "a",
		doc: "Package a"}}), 1)
	require.Len(t, undocumented([]source{{path: "a/a.go", pkg: "a", doc: "Package b is another."}}), 1)
	require.Empty(t, undocumented([]source{{path: "a/a.go", pkg: "a"},
		{path: "a/doc.go", pkg: "a", doc: "Package a is."}}))
}

func TestLongFilesSayWhy(t *testing.T) {
	require.Empty(t, tooLong(load(t)))

	require.Len(t, tooLong([]source{{path: "a.go", lines: maxLines + 1}}), 1)
	require.Empty(t, tooLong([]source{{path: "a.go", lines: maxLines + 1, excused: true},
		{path: "b.go", lines: maxLines}}))
	require.True(t, longReason.MatchString("package a\n\n// Long file: one table.\n"))
	require.False(t, longReason.MatchString("package a\n\n// Long file:\n"))
}

// forbiddenImports holds the first table of the design against the files.
func forbiddenImports(files []source, rules []rule) (complaints []string) {
	for _, f := range files {
		for _, r := range rules {
			if f.test() || !within(f.folder(), r.folder) {
				continue
			}
			for _, imported := range f.imports {
				if within(imported, r.path) && !within(imported, module+"/"+r.folder) {
					complaints = append(complaints, fmt.Sprintf("%s imports %s, but %s must not import %s", f.path,
						imported, r.folder, r.word))
				}
			}
		}
	}
	return complaints
}

// foreignImports holds the second table of the design against the files. Where two rows fit an
// import, the one with the longer path is meant.
func foreignImports(files []source, owners []owner) (complaints []string) {
	for _, f := range files {
		if f.test() || within(f.folder(), "bench") || within(f.folder(), "examples") {
			continue
		}
		for _, imported := range f.imports {
			var o owner
			for _, candidate := range owners {
				if within(imported, candidate.path) && len(candidate.path) > len(o.path) {
					o = candidate
				}
			}
			mine := func(folder string) bool { return within(f.folder(), folder) }
			if o.path != "" && !slices.ContainsFunc(o.folders, mine) {
				complaints = append(complaints, fmt.Sprintf("%s imports %s, but only %s may import %s", f.path,
					imported, o.folders, o.word))
			}
		}
	}
	return complaints
}

// withoutRow finds the folders that the first table does not know.
func withoutRow(files []source, design string) (complaints []string) {
	known := []string{"."}
	for _, row := range table(design, "folder") {
		known = append(known, words(row[0])...)
	}
	for _, f := range files {
		top, _, _ := strings.Cut(f.folder(), "/")
		if !slices.Contains(known, top) {
			known = append(known, top)
			complaints = append(complaints, fmt.Sprintf("folder %s has no row in docs/design.md", top))
		}
	}
	return complaints
}

func undocumented(files []source) (complaints []string) {
	documented := map[string]bool{}
	for _, f := range files {
		if f.test() {
			continue
		}
		right := strings.HasPrefix(f.doc, "Package "+f.pkg+" ") || f.pkg == "main" && f.doc != ""
		documented[f.folder()] = documented[f.folder()] || right
	}
	for folder, right := range documented {
		if !right {
			complaints = append(complaints,
				fmt.Sprintf("the package in %s has no doc comment that starts with its name", folder))
		}
	}
	return complaints
}

func tooLong(files []source) (complaints []string) {
	for _, f := range files {
		if f.lines > maxLines && !f.excused && !f.generated {
			complaints = append(complaints,
				fmt.Sprintf("%s has %d lines: cut it, or say why not in a line that starts with \"// Long file: \"",
					f.path, f.lines))
		}
	}
	return complaints
}

// within reports whether a slash-separated path is root or below it.
func within(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

func readForbidden(design string) ([]rule, error) {
	var rules []rule
	for _, row := range table(design, "folder") {
		for _, folder := range words(row[0]) {
			for _, word := range words(row[2]) {
				path, err := importPath(word)
				if err != nil {
					return nil, err
				}
				rules = append(rules, rule{folder: folder, word: word, path: path})
			}
		}
	}
	if len(rules) == 0 {
		return nil, fmt.Errorf("docs/design.md has no table of folders")
	}
	return rules, nil
}

func readOwners(design string) ([]owner, error) {
	var owners []owner
	for _, row := range table(design, "module") {
		for _, word := range words(row[0]) {
			path, err := importPath(word)
			if err != nil {
				return nil, err
			}
			owners = append(owners, owner{word: word, path: path, folders: words(row[1])})
		}
	}
	if len(owners) == 0 {
		return nil, fmt.Errorf("docs/design.md has no table of modules")
	}
	return owners, nil
}

// importPath finds what a word of a table stands for: a module, or one of our folders.
func importPath(word string) (string, error) {
	if path, ok := modules[word]; ok {
		return path, nil
	}
	if info, err := os.Stat(word); err != nil || !info.IsDir() {
		return "", fmt.Errorf("docs/design.md: %q is neither a module that rules_test.go knows nor a folder", word)
	}
	return module + "/" + word, nil
}

// table returns the rows of the first three-column Markdown table whose first heading is given.
func table(markdown, heading string) (rows [][]string) {
	inside := false
	for _, line := range strings.Split(markdown, "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		switch {
		case !strings.HasPrefix(line, "|") || len(cells) != 3:
			if inside {
				return rows
			}
		case inside && !strings.HasPrefix(cells[0], "---"):
			rows = append(rows, cells)
		case cells[0] == heading:
			inside = true
		}
	}
	return rows
}

var quoted = regexp.MustCompile("`([^`]+?)/?`")

// words returns what stands between backticks, without a closing slash.
func words(cell string) (list []string) {
	for _, match := range quoted.FindAllStringSubmatch(cell, -1) {
		list = append(list, match[1])
	}
	return list
}

// load reads every Go file of the module. It parses files rather than asking the go command for
// packages, which would hide the files that this machine's build constraints leave out.
func load(t *testing.T) []source {
	t.Helper()
	var files []source
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && skipped(name, entry.Name()):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		file, err := parse(name)
		files = append(files, file)
		return err
	})
	require.NoError(t, err)
	return files
}

// skipped reports whether a folder holds no package of this module: the names that the go command
// skips, and other modules.
func skipped(name, base string) bool {
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	return base[0] == '.' || base[0] == '_' || base == "testdata" || err == nil
}

func parse(name string) (source, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return source{}, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return source{}, err
	}
	s := source{
		path:      filepath.ToSlash(name),
		pkg:       parsed.Name.Name,
		doc:       parsed.Doc.Text(),
		lines:     bytes.Count(text, []byte("\n")),
		excused:   longReason.Match(text),
		generated: ast.IsGenerated(parsed),
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, err
		}
		s.imports = append(s.imports, imported)
	}
	return s, nil
}
