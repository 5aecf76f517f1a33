// Every component type of tokenizer.json; expectations are derived from the documented behaviour of
// the tokenizers library, by hand.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "support/fixtures.h"
#include "text/tokenizer/hf_components.h"

namespace metier::text {
namespace {

using Texts = std::vector<std::string>;

Json Parsed(const std::string& json) {
  auto parsed = ParseJson(json);
  EXPECT_TRUE(parsed.ok()) << json;
  return parsed.ok() ? *parsed : Json();
}

class Collect final : public PieceSink {
 public:
  void Add(Piece piece) override { pieces.emplace_back(piece.text); }
  Texts pieces;
};

Result<std::string> Normalized(const std::string& json, const std::string& text) {
  const Json document = Parsed(json);
  METIER_ASSIGN(const HfObject object, HfObject::From(document, "normalizer"));
  METIER_ASSIGN(const NormalizerPtr normalizer, ParseNormalizer(object));
  Scratch scratch;
  std::string out = normalizer->Leaves(text) ? text : normalizer->Apply(text, scratch);
  METIER_TRY(scratch.status);
  return out;
}

Result<Texts> Pieces(const std::string& json, const std::string& text, bool at_start = true) {
  const Json document = Parsed(json);
  METIER_ASSIGN(const HfObject object, HfObject::From(document, "pre_tokenizer"));
  METIER_ASSIGN(const ParsedPreTokenizer pre, ParsePreTokenizer(object));
  Scratch scratch;
  Collect collect;
  RunStages(pre.stages, Piece{text, at_start}, scratch, collect);
  METIER_TRY(scratch.status);
  return collect.pieces;
}

Result<std::string> Decoded(const std::string& json, Texts tokens) {
  const Json document = Parsed(json);
  METIER_ASSIGN(const HfObject object, HfObject::From(document, "decoder"));
  METIER_ASSIGN(std::vector<DecoderStepPtr> steps, ParseDecoder(object));
  return Decoder(std::move(steps)).Decode(std::move(tokens));
}

void ExpectNormalized(const std::string& json, const std::string& text, const std::string& out) {
  ASSERT_OK_AND_ASSIGN(const std::string got, Normalized(json, text));
  EXPECT_EQ(got, out) << json;
}
void ExpectPieces(const std::string& json, const std::string& text, const Texts& out) {
  ASSERT_OK_AND_ASSIGN(const Texts got, Pieces(json, text));
  EXPECT_EQ(got, out) << json;
}
void ExpectDecoded(const std::string& json, const Texts& tokens, const std::string& out) {
  ASSERT_OK_AND_ASSIGN(const std::string got, Decoded(json, tokens));
  EXPECT_EQ(got, out) << json;
}

TEST(Normalizers, UnicodeForms) {
  const std::string composed = "caf\u00E9 \uFB01";     // é, the ligature fi
  const std::string decomposed = "cafe\u0301 \uFB01";  // e + acute
  ExpectNormalized(R"({"type":"NFC"})", decomposed, composed);
  ExpectNormalized(R"({"type":"NFD"})", composed, decomposed);
  ExpectNormalized(R"({"type":"NFKC"})", decomposed, "caf\u00E9 fi");
  ExpectNormalized(R"({"type":"NFKD"})", composed, "cafe\u0301 fi");
  ExpectNormalized(R"({"type":"NFC"})", "plain", "plain");
  // Marks are put in order of their class: dot below (220) before acute (230).
  ExpectNormalized(R"({"type":"NFD"})", "a\u0301\u0323", "a\u0323\u0301");
  ExpectNormalized(R"({"type":"NFC"})", "\u1112\u1161\u11AB", "\uD55C");  // Hangul
}

TEST(Normalizers, SingleOnes) {
  ExpectNormalized(R"({"type":"Lowercase"})", "ÀB\u0130", "àbi\u0307");
  ExpectNormalized(R"({"type":"Strip","strip_left":true,"strip_right":false})", " \t a ", "a ");
  ExpectNormalized(R"({"type":"Strip","strip_left":false,"strip_right":true})", " a\u3000", " a");
  ExpectNormalized(R"({"type":"StripAccents"})", "e\u0301\u00E9", "e\u00E9");
  ExpectNormalized(R"({"type":"Nmt"})", "a\u0001\tb\u200Bc\uFEFF", "a b c ");
  ExpectNormalized(R"({"type":"Prepend","prepend":"_"})", "ab", "_ab");
  ExpectNormalized(R"({"type":"Prepend","prepend":"_"})", "", "");
  ExpectNormalized(R"({"type":"Replace","pattern":{"String":"."},"content":"!"})", "a.b.", "a!b!");
  ExpectNormalized(R"({"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "})", "a   b c",
                   "a b c");
  ExpectNormalized(R"({"type":"ByteLevel"})", "a \u00E9", "a\u0120\u00C3\u00A9");
  ExpectNormalized(R"({"type":"Sequence","normalizers":[{"type":"Lowercase"},
                       {"type":"Prepend","prepend":"X"}]})",
                   "AB", "Xab");
}

TEST(Normalizers, Bert) {
  const std::string all =
      R"({"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,)"
      R"("strip_accents":null,"lowercase":true})";
  ExpectNormalized(all, "H\u00E9\u0001llo\tW\u4F60", "hello w \u4F60 ");
  const std::string cased =
      R"({"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":false,)"
      R"("strip_accents":null,"lowercase":false})";
  ExpectNormalized(cased, "H\u00E9\u4F60", "H\u00E9\u4F60");
}

// A charsmap made by hand: a double-array trie that knows "A" -> "a" and "AB" -> "x".
// Units (darts-clone): node 0 is the root with offset 1, so the child for byte b lies at 1 ^ b.
TEST(Normalizers, Precompiled) {
  std::vector<std::uint32_t> units(256, 0x100);  // label 0x100 is never asked for
  const auto offset = [](std::uint32_t value) { return value << 10; };
  units[0] = offset(1);
  const std::uint32_t a = 1 ^ 'A';                    // 0x40
  const std::uint32_t after_a = a ^ 0x80;             // where A's children begin: 0xC0
  units[a] = offset(0x80) | 0x100 | 'A';              // has a leaf, children at a ^ 0x80
  units[after_a] = 0x80000000u | 0;                   // its value: replacement at 0
  units[after_a ^ 'B'] = offset(0x20) | 0x100 | 'B';  // 0x82
  units[after_a ^ 'B' ^ 0x20] = 0x80000000u | 2;      // replacement at 2
  std::string blob;
  const auto put = [&](std::uint32_t value) {
    for (int i = 0; i < 4; ++i) blob += static_cast<char>(value >> (8 * i) & 0xFF);
  };
  put(static_cast<std::uint32_t>(units.size() * 4));
  for (const std::uint32_t unit : units) put(unit);
  blob += std::string("a\0x\0", 4);
  ASSERT_OK_AND_ASSIGN(const Charsmap map, Charsmap::Parse(blob));
  EXPECT_EQ(map.Longest("ABC").bytes, 2u);
  EXPECT_EQ(map.Longest("ABC").replacement, "x");
  EXPECT_EQ(map.Shortest("ABC"), "a");
  EXPECT_EQ(map.Longest("B").bytes, 0u);
  Scratch scratch;
  // The library looks graphemes up: A and B are two.
  EXPECT_EQ(MakePrecompiled(map)->Apply("ABA", scratch), "aBa");
  SentencePieceNormalizerOptions options;
  options.charsmap = blob;
  options.remove_extra_whitespaces = true;
  ASSERT_OK_AND_ASSIGN(const NormalizerPtr spm, MakeSentencePieceNormalizer(options));
  EXPECT_EQ(spm->Apply("  ABA  c ", scratch), "\u2581xa\u2581c");
  blob.resize(blob.size() - 1);
  EXPECT_ERROR(Charsmap::Parse(blob), ErrorCode::kDataCorrupt, "zero byte");
  EXPECT_ERROR(Charsmap::Parse("\xFF\xFF\xFF\xFF"), ErrorCode::kDataCorrupt, "trie");
}

TEST(PreTokenizers, SplitBehaviors) {
  const auto split = [](const std::string& behavior, const std::string& invert = "false") {
    return R"({"type":"Split","pattern":{"String":"-"},"behavior":")" + behavior +
           R"(","invert":)" + invert + "}";
  };
  const std::string text = "the-final--countdown";  // the example of the library's documentation
  ExpectPieces(split("Removed"), text, {"the", "final", "countdown"});
  ExpectPieces(split("Isolated"), text, {"the", "-", "final", "-", "-", "countdown"});
  ExpectPieces(split("MergedWithPrevious"), text, {"the-", "final-", "-", "countdown"});
  ExpectPieces(split("MergedWithNext"), text, {"the", "-final", "-", "-countdown"});
  ExpectPieces(split("Contiguous"), text, {"the", "-", "final", "--", "countdown"});
  ExpectPieces(split("Removed", "true"), text, {"-", "-", "-"});
  ExpectPieces(
      R"({"type":"Split","pattern":{"Regex":"\\d+"},"behavior":"Isolated","invert":false})",
      "a12b3", {"a", "12", "b", "3"});
  ExpectPieces(
      R"j({"type":"Split","pattern":{"Regex":"(?=B)"},"behavior":"Isolated","invert":false})j",
      "aBcB", {"a", "Bc", "B"});
}

TEST(PreTokenizers, SingleOnes) {
  ExpectPieces(R"({"type":"Whitespace"})", "Hey man's, \u00E9t\u00E9!",
               {"Hey", "man", "'", "s", ",", "\u00E9t\u00E9", "!"});
  ExpectPieces(R"({"type":"WhitespaceSplit"})", " Hey\tman's  x", {"Hey", "man's", "x"});
  ExpectPieces(R"({"type":"BertPreTokenizer"})", "Hey friend!  You?!",
               {"Hey", "friend", "!", "You", "?", "!"});
  ExpectPieces(R"({"type":"Punctuation"})", "Hey, you!", {"Hey", ",", " you", "!"});
  ExpectPieces(R"({"type":"Punctuation","behavior":"Removed"})", "a,,b", {"a", "b"});
  ExpectPieces(R"({"type":"Digits","individual_digits":true})", "a12 \u0663",
               {"a", "1", "2", " ", "\u0663"});
  ExpectPieces(R"({"type":"Digits","individual_digits":false})", "a12b", {"a", "12", "b"});
  ExpectPieces(R"({"type":"CharDelimiterSplit","delimiter":"/"})", "a//b", {"a", "b"});
  ExpectPieces(R"({"type":"FixedLength","length":2})", "ab\u00E9de",
               {"ab",
                "\u00E9"
                "d",
                "e"});
  // Kana and ideographs count as one script, spaces belong to what stands before them.
  ExpectPieces(R"({"type":"UnicodeScripts"})", "\u3069\u4F60 Hey", {"\u3069\u4F60 ", "Hey"});
  ExpectPieces(R"({"type":"UnicodeScripts"})", " a.b", {"a", ".", "b"});
}

TEST(PreTokenizers, ByteLevel) {
  ExpectPieces(R"({"type":"ByteLevel","add_prefix_space":true})", "Hello my\u00E9",
               {"\u0120Hello", "\u0120my\u00C3\u00A9"});
  ExpectPieces(R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false})", "a b",
               {"a\u0120"
                "b"});
  ExpectPieces(R"({"type":"ByteLevel","add_prefix_space":false})", "I'll  go",
               {"I", "'ll", "\u0120", "\u0120go"});
}

TEST(PreTokenizers, Metaspace) {
  const std::string mark = "\u2581";
  const std::string base = R"({"type":"Metaspace","replacement":")" + mark + "\"";
  ExpectPieces(base + R"(,"prepend_scheme":"always"})", "Hey  you",
               {mark + "Hey", mark, mark + "you"});
  ExpectPieces(base + R"(,"prepend_scheme":"never"})", "Hey you", {"Hey", mark + "you"});
  ExpectPieces(base + R"(,"prepend_scheme":"first","split":false})", "Hey you",
               {mark + "Hey" + mark + "you"});
  ASSERT_OK_AND_ASSIGN(const Texts later,
                       Pieces(base + R"(,"prepend_scheme":"first"})", "Hey", /*at_start=*/false));
  EXPECT_EQ(later, Texts{"Hey"});
  ExpectPieces(base + R"(,"add_prefix_space":false})", "Hey", {"Hey"});
}

TEST(PreTokenizers, SequenceRunsInOrder) {
  ExpectPieces(R"({"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},
                   {"type":"Digits","individual_digits":true}]})",
               "ab1 23", {"ab", "1", "2", "3"});
}

TEST(Decoders, SingleOnes) {
  ExpectDecoded(R"({"type":"ByteLevel"})", {"\u0120Hi", "\u00C3", "\u00A9"}, " Hi\u00E9");
  ExpectDecoded(R"({"type":"ByteFallback"})", {"<0x61>", "b", "<0xE5>"}, "ab\xE5");
  ExpectDecoded(R"({"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always"})",
                {"\u2581Hey", "\u2581you"}, "Hey you");
  ExpectDecoded(R"({"type":"Metaspace","replacement":"\u2581","prepend_scheme":"never"})",
                {"\u2581Hey", "\u2581you"}, " Hey you");
  ExpectDecoded(R"({"type":"WordPiece","prefix":"##","cleanup":true})",
                {"I", "do", "##n", "'", "t", ",", "no"}, "I don ' t, no");
  ExpectDecoded(R"({"type":"WordPiece","prefix":"##","cleanup":false})", {"a", "##b", "."}, "ab .");
  ExpectDecoded(R"({"type":"BPEDecoder","suffix":"</w>"})", {"he", "llo</w>", "you</w>"},
                "hello you");
  ExpectDecoded(R"({"type":"CTC","pad_token":"<pad>","word_delimiter_token":"|","cleanup":true})",
                {"<pad>", "h", "h", "e", "<pad>", "l", "<pad>", "l", "|", "|", "o"}, "hell o");
  ExpectDecoded(R"({"type":"Strip","content":"H","start":1,"stop":0})", {"Hey", " friend!", "HHH"},
                "ey friend!HH");
  ExpectDecoded(R"({"type":"Strip","content":"y","start":0,"stop":1})", {"Hey", " friend!"},
                "He friend!");
  ExpectDecoded(R"({"type":"Replace","pattern":{"String":"_"},"content":" "})", {"a_b", "_c"},
                "a b c");
  ExpectDecoded(R"({"type":"Sequence","decoders":[{"type":"Fuse"},
                    {"type":"Strip","content":" ","start":1,"stop":0}]})",
                {" a", " b"}, "a b");
}

TEST(Decoders, EveryComponentThatIsUnknownIsRefusedByName) {
  EXPECT_ERROR(Normalized(R"({"type":"NFX"})", ""), ErrorCode::kUnsupported, "NFX");
  EXPECT_ERROR(Pieces(R"({"type":"Sequence","pretokenizers":[{"type":"Magic"}]})", ""),
               ErrorCode::kUnsupported, "pre_tokenizer.pretokenizers[0]: type 'Magic'");
  EXPECT_ERROR(Decoded(R"({"type":"Nope"})", {}), ErrorCode::kUnsupported, "Nope");
  EXPECT_ERROR(Pieces(R"({"type":"Split","pattern":{"Regex":"("},"behavior":"Removed"})", ""),
               ErrorCode::kDataCorrupt, "pre_tokenizer.pattern");
  EXPECT_ERROR(Pieces(R"({"type":"FixedLength","length":0})", ""), ErrorCode::kDataCorrupt,
               "length");
}

// What Oniguruma and PCRE2 read differently.
TEST(Patterns, MeanWhatOnigurumaMeans) {
  const auto matches = [](const std::string& pattern, const std::string& text) {
    Texts found;
    auto regex = Regex::Compile(pattern);
    EXPECT_TRUE(regex.ok()) << pattern << ": " << (regex.ok() ? "" : regex.error().message());
    if (!regex.ok()) return found;
    Regex::Matches all(*regex, text);
    while (all.Next()) found.push_back(text.substr(all.begin(), all.end() - all.begin()));
    return found;
  };
  EXPECT_EQ(matches(R"(\s+)", "a\u180E b\u0085c\u00A0"), (Texts{" ", "\u0085", "\u00A0"}));
  EXPECT_EQ(matches(R"([^\s]+)", "a\u180E b"), (Texts{"a\u180E", "b"}));
  EXPECT_EQ(matches(R"(\w+)", "e\u0301a-\u0915\u093F"), (Texts{"e\u0301a", "\u0915\u093F"}));
  EXPECT_EQ(matches(R"(\h+)", "12afg"), (Texts{"12af"}));
  EXPECT_EQ(matches(R"(a$)", "a\na"), (Texts{"a", "a"}));
  EXPECT_EQ(matches(R"((?m:a.))", "a\n"), (Texts{"a\n"}));
  EXPECT_EQ(matches(R"(\p{N}{1,3}+)", "1234567"), (Texts{"1234567"}));
  EXPECT_EQ(matches(R"([a[bc]d]+)", "xabcd["), (Texts{"abcd"}));
  EXPECT_EQ(matches(R"([a-z&&[^aeiou]]+)", "hello"), (Texts{"h", "ll"}));
  EXPECT_EQ(matches(R"( ?[^(\s|[.,!?…。，、।۔،])]+)", "Hi there, you."),
            (Texts{"Hi", " there", " you"}));
  EXPECT_EQ(matches(R"(\p{Han}+)", "\u4F60\u3001a"), (Texts{"\u4F60"}));  // not U+3001
  EXPECT_EQ(matches(R"(\d{1,3}(?=(?:\d{3})*\b))", "1234567"), (Texts{"1", "234", "567"}));
  EXPECT_EQ(matches(R"((?=(\d{3})+(?!\d)))", "12345").size(), 1u);
  EXPECT_ERROR(Regex::Compile(R"(\p{Klingon})"), ErrorCode::kUnsupported, "Klingon");
  EXPECT_ERROR(Regex::Compile("[a"), ErrorCode::kUnsupported, "']'");
}

// A pattern that takes exponential time is stopped, with an error.
TEST(Patterns, BacktrackingIsBounded) {
  EXPECT_ERROR(Pieces(R"({"type":"Split","pattern":{"Regex":"(a+)+$"},"behavior":"Removed",
                         "invert":false})",
                      std::string(40, 'a') + "b"),
               ErrorCode::kResourceExhausted, "pattern");
}

}  // namespace
}  // namespace metier::text
