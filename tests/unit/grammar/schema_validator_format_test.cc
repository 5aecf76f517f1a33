// Formats, beyond what the official suite asks; and the encodings beneath them.
#include <string>
#include <vector>

#include "grammar/validator/format.h"
#include "grammar/validator/format_idna.h"
#include "grammar/validator/uri.h"
#include "support/fixtures.h"

namespace metier::grammar::validator {
namespace {

struct FormatCase {
  const char* format;
  std::vector<std::string> fit;
  std::vector<std::string> unfit;
};

TEST(SchemaFormat, TextsThatFitAndDoNot) {
  const FormatCase cases[] = {
      {"date",
       {"2024-02-29", "2000-02-29"},
       {"2023-02-29", "1900-02-29", "2024-2-29", "2024-13-01"}},
      {"time",
       {"23:59:60Z", "00:29:60+00:30", "12:00:00.5-00:00"},
       {"23:59:60+00:30", "12:00:00", "12:00:00.Z", "12:00Z", "25:00:00Z", "12:00:61Z"}},
      {"date-time",
       {"2024-02-29T12:00:00Z", "2024-02-29t12:00:00z"},
       {"2024-02-30T12:00:00Z", "2024-02-29 12:00:00Z", "2024-02-29", "2024-02-29T12:00:00ZZ"}},
      {"duration",
       {"P1Y2M3DT4H5M6S", "P3W", "PT1M", "P1DT1S"},
       {"P", "PT", "P1", "P1S", "P1YT", "P1Y1D", "PT1H1S", "P1W1D", "p1D", "P-1D"}},
      {"ipv4", {"0.0.0.0", "255.255.255.255"}, {"256.0.0.0", "1.2.3", "1.2.3.4.5", "01.2.3.4"}},
      {"ipv6",
       {"::", "::1", "1::", "1:2:3:4:5:6:7:8", "1::8", "::1.2.3.4", "1:2:3:4:5:6:1.2.3.4"},
       {":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7::8", "::1::", "1.2.3.4::", "12345::", "::g"}},
      {"hostname",
       {"a", "a-b.c1", "xn--bcher-kva.example"},
       {"", "-a", "a-", "a..b", "a_b", "bücher", "xn--a", std::string(64, 'a')}},
      {"idn-hostname",
       {"bücher.example", "παράδειγμα", "例え。テスト", "xn--bcher-kva"},
       {"bu\u0308cher", "Bücher", "a\u200db", "ab--ü", "\u0301a", "a b", "√.com", "\xff"}},
      {"email",
       {"a@b", "a.b+c@d.e", "\"a b\\\"\"@c", "a@[1.2.3.4]", "a@[IPv6:::1]"},
       {"a", "@b", "a@", ".a@b", "a..b@c", "a b@c", "\"a@b", "a@[1.2.3]", "ä@b", "a@b_c"}},
      {"idn-email", {"ä@b", "a@bücher"}, {"a@b c", "@ä", "a@-ä", "\xff@a"}},
      {"uri",
       {"a:", "http://a:80/b?c#d", "urn:x:y", "http://[::1]:1/", "mailto:a@b", "http://%41"},
       {"", "a", "//a", "http://a b", "http://a/%4", "1a:b", "http://a:b", "http://[::1",
        "http://ä"}},
      {"uri-reference",
       {"", "a", "../a", "?q", "#f", "//h", "./a:b"},
       {":a", "1:b", "\\a", "#a#b"}},
      {"iri",
       {"http://ä/ö?\U000f0000"},
       {"http://a/\U000f0000", "ä", "http://ä/ ", "http://a/\xff"}},
      {"iri-reference", {"ä", "#ö"}, {"ä b", "ä:b"}},
      {"uri-template",
       {"", "a{b}", "{+a,b:3}{?c*}", "%41", "ä", "{a.b}", "{%41}"},
       {"{", "}", "{}", "{a", "{=a}", "{a:0}", "{a:10000}", "{a b}", "{.}", "%4", "<", "{a,}"}},
      {"json-pointer", {"", "/", "/a~0~1/b"}, {"a", "/~", "/~2", "#/a"}},
      {"relative-json-pointer",
       {"0", "0#", "12/a", "0-1/a", "1+2#"},
       {"", "#", "01", "/a", "-1", "0-0"}},
      {"regex", {"a+", "[^]", "(?<=a+)b", "\\p{L}"}, {"(", "a**", "\\a", "(?P<a>b)"}},
      {"uuid",
       {"123e4567-E89B-12d3-a456-426614174000"},
       {"123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400g", ""}},
  };
  for (const FormatCase& tested : cases) {
    const Format* format = FindFormat(tested.format);
    ASSERT_NE(format, nullptr) << tested.format;
    for (const std::string& text : tested.fit) {
      EXPECT_TRUE(format->fits(text)) << tested.format << " " << text;
    }
    for (const std::string& text : tested.unfit) {
      EXPECT_FALSE(format->fits(text)) << tested.format << " " << text;
    }
  }
  EXPECT_EQ(FindFormat("shoe-size"), nullptr);
}

TEST(SchemaFormat, LongTextsTakeNoLonger) {
  const std::string dots(200'000, '.');
  const std::string letters(200'000, 'a');
  for (const char* name : {"hostname", "idn-hostname", "email", "idn-email", "uri", "iri", "ipv6",
                           "uri-template", "regex", "duration", "json-pointer"}) {
    const Format* format = FindFormat(name);
    ASSERT_NE(format, nullptr);
    static_cast<void>(format->fits(dots));
    static_cast<void>(format->fits(letters));
    static_cast<void>(format->fits("xn--" + letters));
  }
  EXPECT_FALSE(FindFormat("hostname")->fits(letters));
  EXPECT_FALSE(FindFormat("idn-hostname")->fits("ü" + letters));
}

TEST(Punycode, EncodesAndDecodes) {
  // RFC 3492, section 7.1, and labels of the wild.
  const char* pairs[][2] = {
      {"bücher", "bcher-kva"},
      {"他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"},
      {"\u0644\u064A\u0647\u0645\u0627\u0628\u062A\u0643\u0644\u0645\u0648\u0634\u0639\u0631\u0628"
       "\u064A\u061F",
       "egbpdaj6bu4bxfgehfvwxn"},
      {"-> $1.00 <-", "-> $1.00 <--"},
      {"3年b組金八先生", "3b-ww4c5e180e575a65lsy2b"},
      {"\U0001F432", "6o8h"},
  };
  for (const auto& [label, encoded] : pairs) {
    EXPECT_EQ(PunycodeEncode(label), encoded);
    EXPECT_EQ(PunycodeDecode(encoded), label);
  }
  for (const char* broken : {"-", "a-!", "99999999", "a\u00fc", "zzzz"}) {
    EXPECT_EQ(PunycodeDecode(broken), std::nullopt) << broken;
  }
}

TEST(SchemaUri, ResolvesAsRfc3986Section54Says) {
  const Uri base = Uri::Parse("http://a/b/c/d;p?q");
  const char* cases[][2] = {
      {"g:h", "g:h"},
      {"g", "http://a/b/c/g"},
      {"./g", "http://a/b/c/g"},
      {"g/", "http://a/b/c/g/"},
      {"/g", "http://a/g"},
      {"//g", "http://g"},
      {"?y", "http://a/b/c/d;p?y"},
      {"g?y", "http://a/b/c/g?y"},
      {"#s", "http://a/b/c/d;p?q"},
      {"", "http://a/b/c/d;p?q"},
      {";x", "http://a/b/c/;x"},
      {".", "http://a/b/c/"},
      {"..", "http://a/b/"},
      {"../g", "http://a/b/g"},
      {"../../../g", "http://a/g"},
      {"/./g", "http://a/g"},
      {"/../g", "http://a/g"},
      {"g.", "http://a/b/c/g."},
      {"./g/.", "http://a/b/c/g/"},
      {"g/../h", "http://a/b/c/h"},
      {"HTTP://A/b", "http://a/b"},
  };
  for (const auto& [reference, resolved] : cases) {
    EXPECT_EQ(base.Resolve(Uri::Parse(reference)).Document(), resolved) << reference;
  }
  EXPECT_EQ(Uri::Parse("http://a").Resolve(Uri::Parse("g")).Document(), "http://a/g");
  EXPECT_EQ(Uri::Parse("").Resolve(Uri::Parse("a/b")).Document(), "a/b");
  EXPECT_EQ(Uri::Parse("a/b").Resolve(Uri::Parse("c#d")).Document(), "a/c");
  EXPECT_EQ(Uri::Parse("urn:a:b").Resolve(Uri::Parse("#d")).Document(), "urn:a:b");
  EXPECT_EQ(PercentDecode("%41%2f%zz%4"), "A/%zz%4");
}

}  // namespace
}  // namespace metier::grammar::validator
