package ashi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every Go block of the README and of docs/*.md is compiled, and what is marked is run. Words
// behind ```go say how:
//
//	(none)           a whole program, declarations, or statements: compiled
//	build            statements that declare steps in b: their plan is built too
//	spec             an expression, a windows.Spec: the table that follows is held against what the engine does (docs/testdata/snippets)
//	file=NAME/FILE   a file of the program NAME: its tests are run, and then the program; a block ```text output=NAME is what it prints
//
// All blocks of a page are one package: declarations in one are seen by the others. What a page
// does not show, such as the rows that it speaks of, is in docs/testdata/PAGE/*.go, a package of
// that name; its function Declare is called with b before each block of statements that is run.
// Imports are added by the names in use.

var updateTables = flag.Bool("docs.update", false,
	"write the worked tables of the pages anew: read them before you commit them")

// block is the code between two fences.
type block struct {
	page  string // path of the page, relative to the root
	line  int    // of its first line of code
	words []string
	code  string
}

// word is the value behind key=, or whether key is there alone.
func (b block) word(key string) (value string, ok bool) {
	for _, w := range b.words {
		k, v, _ := strings.Cut(w, "=")
		if k == key {
			return v, true
		}
	}
	return "", false
}

func (b block) place() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// name is the page as a folder and package.
func (b block) name() string {
	return strings.ToLower(strings.TrimSuffix(path.Base(b.page), ".md"))
}

func TestDocsCompileAndRun(t *testing.T) {
	blocks := readBlocks(t)
	g := newGenerated(t)
	for _, b := range blocks {
		g.add(b)
	}
	overlay := g.write()
	// what is undefined belongs into docs/testdata/PAGE/page.go
	goCommand(t, append([]string{"build", "-overlay=" + overlay}, g.packages()...)...)
	built := t.TempDir() + "/"
	tests := append([]string{"test", "-c", "-vet=off", "-overlay=" + overlay, "-o", built, "./" + snippets},
		g.programs...)
	goCommand(t, tests...)
	run(t, snippets, built+"snippets.test", fmt.Sprintf("-docs.update=%v", *updateTables))
	for _, program := range g.programs {
		name := path.Base(program)
		goCommand(t, "build", "-overlay="+overlay, "-o", built+name, program)
		run(t, t.TempDir(), built+name+".test")
		got := run(t, t.TempDir(), built+name)
		for _, b := range blocks {
			if output, _ := b.word("output"); output == name {
				require.Equal(t, b.code, got, "%s: what the program prints", b.place())
			}
		}
	}
}

func TestLinksOfPages(t *testing.T) {
	code := regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	for _, page := range readPages(t) {
		for _, link := range regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`).FindAllStringSubmatch(
			code.ReplaceAllString(page.text, ""), -1) {
			target := path.Join(path.Dir(page.name), link[1])
			if strings.Contains(link[1], "://") {
				continue
			}
			_, err := os.Stat(target)
			require.NoError(t, err, "%s links to it", page.name)
		}
	}
}

// page is a page of documentation.
type page struct {
	name string // relative to the root
	text string
}

func readPages(t *testing.T) (pages []page) {
	t.Helper()
	names, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	for _, name := range append(names, "README.md") {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		pages = append(pages, page{filepath.ToSlash(name), string(text)})
	}
	return pages
}

// readBlocks reads all blocks of go, and of text that is some program's output.
func readBlocks(t *testing.T) (blocks []block) {
	t.Helper()
	for _, page := range readPages(t) {
		var open *block
		for i, line := range strings.SplitAfter(page.text, "\n") {
			fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
			switch {
			case !isFence && open != nil:
				open.code += line
			case isFence && open != nil:
				blocks, open = append(blocks, *open), nil
			case isFence:
				open = &block{page: page.name, line: i + 2, words: strings.Fields(fence)}
			}
		}
		require.Nil(t, open, "%s: a block is not closed", page.name)
	}
	return slices.DeleteFunc(blocks, func(b block) bool {
		_, output := b.word("output")
		_, isGo := b.word("go")
		return !output && !isGo
	})
}

// snippets is the package that runs plans and tables; its list of them is generated.
const snippets = "docs/testdata/snippets"

// generated collects the files that are made of blocks. They exist in an overlay of the go command
// only.
type generated struct {
	t        *testing.T
	files    map[string]string // by path relative to the root
	folders  []string
	programs []string
	list     bytes.Buffer // what snippets runs
	imports  []string     // its imports of pages
}

func newGenerated(t *testing.T) *generated {
	return &generated{t: t, files: map[string]string{}}
}

// add makes a file of a block.
func (g *generated) add(b block) {
	if _, output := b.word("output"); output {
		return
	}
	folder, id := "docs/testdata/"+b.name(), fmt.Sprintf("Line%d", b.line)
	file := folder + "/" + strings.ToLower(id) + ".go"
	code := fmt.Sprintf("//line %s:%d\n%s", b.page, b.line, b.code)
	_, spec := b.word("spec")
	_, build := b.word("build")
	if name, ok := b.word("file"); ok {
		if program := "./docs/testdata/programs/" + path.Dir(name); !slices.Contains(g.programs, program) {
			g.programs = append(g.programs, program)
		}
		g.put("docs/testdata/programs/"+name, b.code)
		return
	}
	switch {
	case strings.HasPrefix(b.code, "package main"): // not as main, which the go command would link
		g.put(folder+"/"+strings.ToLower(id)+"/main.go", strings.Replace(code, "package main", "package program", 1))
	case spec:
		g.put(file, g.header(b, "windows")+fmt.Sprintf("func %s() windows.Spec {\nreturn (\n//line %s:%d\n%s)\n}\n", id,
			b.page, b.line, strings.TrimSuffix(b.code, "\n")))
		g.run(b, "tables", fmt.Sprintf("{%q, %d, %s.%s()}", b.page, b.line, alias(b), id))
	case isDeclarations(b.code):
		g.put(file, g.header(b)+code)
	default:
		g.put(file, g.header(b, "dsl")+fmt.Sprintf("func %s(b *dsl.Builder) {\n%s\n%s}\n", id, code, used(g.t, b)))
		if build {
			g.run(b, "plans", fmt.Sprintf("{%q, %s.Declare, %s.%s}", b.place(), alias(b), alias(b), id))
		}
	}
}

func (g *generated) put(file, text string) {
	require.NotContains(g.t, g.files, file)
	g.files[file] = text
	if folder := "./" + path.Dir(file); !slices.Contains(g.folders, folder) && !slices.Contains(g.programs, folder) {
		g.folders = append(g.folders, folder)
	}
}

// run puts an entry on one of the lists of snippets.
func (g *generated) run(b block, list, entry string) {
	fmt.Fprintf(&g.list, "func init() { %s = append(%s, %s%s) }\n", list, list, strings.TrimSuffix(list, "s"), entry)
	if line := fmt.Sprintf("%s %q\n", alias(b), module+"/docs/testdata/"+b.name()); !slices.Contains(g.imports, line) {
		g.imports = append(g.imports, line)
	}
}

// alias is the name by which snippets imports a page.
func alias(b block) string { return "page" + strings.ReplaceAll(b.name(), "-", "") }

// known are the packages that blocks may use without importing them.
var known = []string{"bytes", "context", "encoding/binary", "errors", "fmt", "log", "math", "net/http", "os", "strings",
	"testing", "time", module + "/aggregates", module + "/dsl", module + "/dsl/codecs", module + "/dsl/entity",
	module + "/engine", module + "/engine/config", module + "/engine/embedded", module + "/engine/enginetest",
	module + "/engine/kafka", module + "/engine/registry", module + "/topology", module + "/windows",
	"github.com/stretchr/testify/require", "github.com/prometheus/client_golang/prometheus",
	"github.com/prometheus/client_golang/prometheus/promhttp", "log/slog"}

// header is package clause and imports of a block that has none.
func (g *generated) header(b block, also ...string) string {
	var h strings.Builder
	fmt.Fprintf(&h, "package %s\n", strings.ReplaceAll(b.name(), "-", ""))
	for _, p := range known {
		name := path.Base(p)
		defined := regexp.MustCompile(`(?m)^\s*(\w+, )*` + name + `(, \w+)* :=`)
		selected := regexp.MustCompile(`(^|[^\w."/])` + name + `\.[A-Z]`)
		if slices.Contains(also, name) || selected.MatchString(b.code) && !defined.MatchString(b.code) {
			fmt.Fprintf(&h, "import %q\n", p)
		}
	}
	return h.String()
}

func isDeclarations(code string) bool {
	_, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+code, 0)
	return err == nil
}

// used is a statement that uses all that the statements of a block define: a page may stop before
// it does.
func used(t *testing.T, b block) string {
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+b.code+"\n}", 0)
	require.NoError(t, err, "%s, counted from two lines above it", b.place())
	names := []string{"b"}
	for _, s := range file.Decls[0].(*ast.FuncDecl).Body.List {
		switch s := s.(type) {
		case *ast.AssignStmt:
			for _, left := range s.Lhs {
				if name, ok := left.(*ast.Ident); ok && s.Tok == token.DEFINE && name.Name != "_" {
					names = append(names, name.Name)
				}
			}
		case *ast.DeclStmt:
			for _, spec := range s.Decl.(*ast.GenDecl).Specs {
				if v, ok := spec.(*ast.ValueSpec); ok {
					for _, name := range v.Names {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return strings.Repeat("_, ", len(names)-1) + "_ = " + strings.Join(names, ", ") + "\n"
}

// write writes the overlay, and returns its path.
func (g *generated) write() string {
	g.put(snippets+"/list_test.go", "package snippets\n\nimport (\n"+strings.Join(g.imports, "")+")\n\n"+
		g.list.String())
	dir := g.t.TempDir()
	root, err := os.Getwd()
	require.NoError(g.t, err)
	replace := map[string]string{}
	for name, text := range g.files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(g.t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(g.t, os.WriteFile(file, []byte(text), 0o644))
		replace[filepath.Join(root, filepath.FromSlash(name))] = file
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(g.t, err)
	overlay := filepath.Join(dir, "overlay.json")
	require.NoError(g.t, os.WriteFile(overlay, text, 0o644))
	return overlay
}

func (g *generated) packages() []string { slices.Sort(g.folders); return g.folders }

func goCommand(t *testing.T, args ...string) {
	t.Helper()
	run(t, ".", "go", args...)
}

// run is what a command prints to its standard output. It fails the test where the command fails.
func run(t *testing.T, dir, command string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), command, args...)
	var stdout, stderr bytes.Buffer
	c.Dir, c.Stdout, c.Stderr = dir, &stdout, &stderr
	require.NoError(t, c.Run(), "%s %s:\n%s%s", filepath.Base(command), strings.Join(args, " "), &stdout, &stderr)
	return stdout.String()
}
