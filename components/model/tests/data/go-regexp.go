// Writes go-regexp.txt: go run go-regexp.go > go-regexp.txt
//
// What Go's regexp makes of patterns, for comparison with ours. Each pattern is parsed alone, as
// Prometheus' flags say; one that is accepted is then tried on each probe as ^(?s:PATTERN)$.

//go:build ignore

package main

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"runtime"
	"strconv"
)

func main() {
	probes := []string{
		"", "a", "b", "A", "ab", "aa", "aaa", "abc", "b7", "7", "٣", "é", "É", "ſ", "s", "S", "K", "k", "\u212a", "_", "-", "+", ",", "[", "]", "^", "\\", "&", "&&", "~", "{", "}", "a{", "a{2", "a{,2}", "a{2}", "a{02}", "a{1,2,3}", "{}",
		"<", ">", ".", "a.b", "axb", "a\nb", "\n", "\t", "\v", "\f", "\r", " ", "\u00a0", "\u0085", "\x00", "\x07", "\a1", "\n7", "a b", "é b", "a-b", "foo", "foobar", "FOO", "foo\n", "Greek Ω", "Ω", "ω", "shop/cart", "/conversations/{id}", "a|b", "(", ")", "a(b", "x", "xx", "xa", "1a", "\u017f", "µ", "μ", "Ａ", "😀", "\ufffd", "\U0010ffff", "a\\b", "Q", "E", "d", "D", "w", ":", "[:alpha:]", "alph", "=", "#", "a#b", "\"", "'", "`", "@", "!", "%", "z", "Z", "ß", "ẞ", "SS", "ss", "İ", "i", "ı", "I",
	}
	patterns := []string{
		"", "a", "ab", "a|b", "|a", "a|", "(a|b)c?", "(?:)", "()", "(|a)+", "a*", "a+", "a?", "a*?", "a+?", "a??", "a{2}", "a{2,}", "a{2,3}", "a{0}", "a{0,}", "a{2}?", "a{2,3}?", ".*", ".+", ".", "..", "a.b", "a.*", ".*b",
		`\d`, `\D`, `\w`, `\W`, `\s`, `\S`, `\w+`, `\W+`, `\s+`, `[\d]`, `[\D]`, `[\w]`, `[\W]`, `[\s]`, `[\S]`, `[^\d]`, `[^\D]`, `[^\w]`, `[^\W]`, `[^\s]`, `[^\S]`, `[\da]`, `[\Wa]`, `[\w-]`, `[\d-z]`, `[a\d-]`, `[\s\S]`, `[\w\W]*`, `(?i)\w`, `(?i)\W`, `(?i)[\W]`, `(?i)[^\W]`, `(?i)\d`,
		`a\b.*`, `.*\bb`, `a\B.*`, `é\b.*`, `\b`, `\B`, `\ba\b`, `a\b-\bb`, `\b*a`, `\b+a`, `é\B b`,
		`\Qa.b\E`, `\Qa.b`, `\Q\E`, `\Qa|b\E`, `\Qa\E*`, `\Qab\E*`, `\Qa\E|b`, `a\Q\Eb`, `a\Q\E*`, `\Qa\b`, `\E`, `\Qa(b\E`, `\Q[\E`, `a\E`, `\Q😀\E`,
		`[[a]`, `[a[b]]`, `[[]`, `[]]`, `[]a]`, `[^]]`, `[^]a]`, `[[:alpha:]]`, `[[:^alpha:]]`, `[^[:alpha:]]`, `[[:alpha:]7]`, `[[:foo:]]`, `[:alpha:]`, `[[:alpha:]-]`, `[[:alpha]`, `[[:alpha:]-z]`, `[[:word:]]`, `[[:space:]]`, `[[:punct:]]`, `[[:print:]]`, `[[:graph:]]`, `[[:ascii:]]`, `[[:cntrl:]]`, `[[:blank:]]`, `[[:xdigit:]]`, `[[:upper:]]`, `[[:lower:]]`, `[[:alnum:]]`, `[[:digit:]]`, `(?i)[[:lower:]]`, `(?i)[[:^lower:]]`, `[[::]]`, `[[:a`, `[[.a.]]`, `[[=a=]]`,
		`[a&&b]`, `[a&&&b]`, `[&&]`, `[a~~b]`, `[~~]`, `[a~b]`, `[+--]`, `[--a]`, `[a--b]`, `[---]`, `[-a]`, `[a-]`, `[-]`, `[--]`, `[^-]`, `[a-b-c]`, `[a-c-e]`, `[\w-a]`, `[a-\d]`, `[z-a]`, `[a-a]`, `[\n-\r]`, `[\x00-\x7f]`, `[^\x00-\x{10ffff}]`, `[\x{10ffff}]`, `[ -~]`, `[\[\]]`, `[\]]`, `[\\]`, `[\^]`, `[^^]`, `[a^]`, `[\-a]`, `[.]`, `[*+?]`, `[$]`, `[(]`, `[|]`, `[{}]`, `[#]`, `[a b]`, `[\b]`, `[\B]`, `[\A]`, `[\z]`, `[\Q]`, `[\Qa\E]`, `[\pL]`, `[\PL]`, `[^\pL]`, `[\p{Greek}]`, `[\p{^Greek}]`, `[\p{Greek}a]`, `[\pL-z]`, `[\07]`, `[\1]`, `[\12]`, `[\x41]`, `[\e]`, `[é]`, `[é-ü]`, `(?i)[é]`, `(?i)[k]`, `(?i)[^k]`, `(?i)[s]`, `[`, `[a`, `[]`, `[^]`, `[^`, `[\`, `[a-`, `[a\]`,
		`a{`, `{`, `}`, `a}`, `a{2`, `a{,2}`, `a{,}`, `{}`, `{2}`, `{,2}`, `a{02}`, `a{2,03}`, `a{1,2,3}`, `a{x}`, `a{ 2}`, `a|{2}`, `({2})`, `({)`, `a{3,2}`, `a{1000}`, `a{1001}`, `a{1001,}`, `a{0,1001}`, `a{99999999999}`, `a{1000}{2}`, `(a{1000}){2}`, `(a{1000}){1}`, `(a{500}){2}`, `(a{501}){2}`, `((a{100}){10}){2}`, `((a{10}){10}){10}`, `(a{1000}|b){0,1}`, `(a{10,}){101}`, `(a{0,}){1000}`, `((a{1000})*)*`, `((a{1000})*){2}`, `(a{2}){0}`, `(?:a{1000}){2}`, `/conversations/\{.*\}`, `/conversations/{id}`,
		`\07`, `\7`, `\0`, `\00`, `\000`, `\0000`, `\012`, `\12`, `\127`, `\377`, `\400`, `\777`, `\1`, `\8`, `\9`, `\08`, `\0a`, `a\1`, `(a)\1`, `\x41`, `\x4`, `\x`, `\x{41}`, `\x{}`, `\x{41`, `\x{110000}`, `\x{0000041}`, `\x{g}`, `\xzz`, `\x{ffffffffff}`, `\x{1F600}`,
		`\<`, `\>`, `\_`, `\-`, `\/`, `\.`, `\"`, `\'`, "\\`", `\#`, `\&`, `\~`, `\@`, `\!`, `\%`, `\,`, `\:`, `\=`, `\ `, `\{`, `\}`, `\é`, `\a`, `\f`, `\n`, `\r`, `\t`, `\v`, `\e`, `\c`, `\C`, `\G`, `\Z`, `\A`, `\z`, `\Aa\z`, `\K`, `\R`, `\X`, `\h`, `\H`, `\V`, `\N`, `\u0041`, `\u{41}`, `\U00000041`, `\i`, `\k<a>`, `\`, `a\`, `\b{start}`, `\<a`, `a\>`,
		`(?P<a>x)`, `(?<a>x)`, `(?P<1a>x)`, `(?P<1a>x)(?P<_1a>x)`, `(?P<_1a>x)(?P<1a>x)`, `(?P<a_1>x)`, `(?P<>x)`, `(?P<a-b>x)`, `(?P<a.b>x)`, `(?P<é>x)`, `(?P<a>x)(?P<a>x)`, `(?P<a`, `(?P<a>`, `(?P=a)`, `(?P>a)`, `(?'a'x)`, `(?P`, `(?<`, `(?<=a)b`, `(?<!a)b`, `(?=a)`, `(?!a)`, `(?#c)`, `(?>a)`, `(?|a)`, `(?R)`, `(?1)`,
		`(?x)a`, `(?x:a)`, `(?ix)a`, `(?u)a`, `(?-u)a`, `(?i)a`, `(?i:a)b`, `(?i:AB)`, `(?i)foo`, `(?i)FOO`, `(?i)k`, `(?i)s`, `(?i)é`, `(?i)ω`, `(?i)µ`, `(?i)ß`, `(?i)i`, `(?i)ss`, `(?i-i)a`, `(?i-i:a)`, `(?-i)a`, `(?ii)a`, `(?ims)a`, `(?i-s)a.b`, `(?-s).`, `(?-s)a.b`, `(?-s:a.b)`, `(?s)a.b`, `(?s-s)a.b`, `(?m)a$\nb`, `(?m)^a$.^b$`, `(?m)^$`, `^$`, `^`, `$`, `^*`, `$*a`, `^+a`, `(?m:^)*`, `a$`, `^a`, `^a$`, `a$b`, `a^b`, `(?U)a*`, `(?U)a*?`, `(?U:a)`, `(?)`, `(?)a`, `(?:a)`, `(?-)a`, `(?-:a)`, `(?i-)a`, `(?--i)a`, `(?i-s-m)a`, `(?`, `(?:`, `(?i`, `(?z)`, `a(?i)b`, `a(?i)b|c`, `(a(?i)b)c`, `(?i)a(?-i)b`, `(?i)`, `a|(?i)b`,
		`(`, `)`, `a)`, `(a`, `((a)`, `(a))`, `a)(b`, `*`, `+`, `?`, `*a`, `(*a)`, `|*`, `a|*`, `(|*)`, `a**`, `a*+`, `a++`, `a+*`, `a?*`, `a*??`, `a+??`, `a???`, `a{2}*`, `a*{2}`, `a{2}{3}`, `a{2}+`, `a{2}??`, `(a*)*`, `(a+)+`, `(?:a*)*`, `(?:a?)?`,
		`\pL`, `\PL`, `\pN`, `\p{L}`, `\p{Lu}`, `\p{Letter}`, `\p{letter}`, `\p{Greek}`, `\p{greek}`, `\P{Greek}`, `\p{^Greek}`, `\P{^Greek}`, `\p{Latin}`, `\p{Any}`, `\p{ASCII}`, `\p{Assigned}`, `\p{Cn}`, `\p{LC}`, `\p{Nope}`, `\p`, `\P`, `\p{`, `\p{Greek`, `\p{}`, `\pé`, `\p{Script=Greek}`, `\p{sc:Greek}`, `\p{L=}`, `\p{Lowercase_Letter}`, `\p{lowercase letter}`, `\p{Nd}`, `\p{So}`, `\p{Zs}`, `\p{Alphabetic}`, `\p{White_Space}`, `\p{Emoji}`, `\p{alnum}`, `\p{Cs}`, `\p{Co}`, `(?i)\p{Lu}`, `(?i)\P{Lu}`, `(?i)[\p{Lu}]`, `(?i)[^\p{Lu}]`,
		"é", "[^a]", "😀", "a\nb", "\n", "a b", "#", "a#b", "\x00", "-", "&&", "~", "<", ">", "=", "!", "@", "%", "\"", "'", "`", ":", ",", "_", "a-b", "shop/.*", ".*cart", "shop/(cart|api)", "foo|foobar", "(foo|bar)", "foo(bar)?", "foo.?", "foo.*?", "]", "a]", "a\\|b", `\[:alpha:\]`, "\ufffd",
	}
	fmt.Println("# written by go-regexp.go,", runtime.Version())
	fmt.Print("probes")
	for _, p := range probes {
		fmt.Print(" ", strconv.Quote(p))
	}
	fmt.Println()
	seen := map[string]bool{}
	for _, p := range patterns {
		if seen[p] {
			continue
		}
		seen[p] = true
		// Alone, because `a)(b` would be accepted with the parentheses around it.
		if _, err := syntax.Parse(p, syntax.Perl|syntax.DotNL); err != nil {
			fmt.Println("refused", strconv.Quote(p))
			continue
		}
		re, err := regexp.Compile("^(?s:" + p + ")$")
		if err != nil {
			// A \Q without \E takes the parenthesis in.
			re = regexp.MustCompile("^(?s:" + p + "\\E)$")
		}
		fmt.Print("matches ", strconv.Quote(p))
		for _, v := range probes {
			if re.MatchString(v) {
				fmt.Print(" ", strconv.Quote(v))
			}
		}
		fmt.Println()
	}
}
