// The UnicodeScripts pre-tokenizer: cuts where the script changes, as SentencePiece's trainer does.
// utf8proc has no scripts, PCRE2 has: one alternation of all of them, each with its number as mark.
#include <array>
#include <mutex>
#include <unordered_map>

#include "text/tokenizer/pre_tokenizer.h"
#include "text/tokenizer/unicode.h"

namespace metier::text {
namespace {

constexpr int kAny = -1;       // the space: belongs to every script
constexpr int kHan = -2;       // Han, Hiragana, Katakana and the long-vowel mark count as one
constexpr int kNoScript = -3;  // before the first character

// Identity of a character's script: the general names do not matter, only whether two are equal. A
// script is told by the first character (in code order) that PCRE2 says shares it.
class ScriptTable {
 public:
  int Of(std::uint32_t code) {
    if (code == ' ') return kAny;
    if (code == 0x30FC) return kHan;
    const std::lock_guard lock(mutex_);
    if (const auto known = known_.find(code); known != known_.end()) return known->second;
    std::string text;
    AppendChar(text, code);
    int script = 0;
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
      Regex::Matches matches(patterns_[i], text);
      if (!matches.Next()) continue;
      script = i < 3 ? kHan : static_cast<int>(i) + 1;
      break;
    }
    known_.emplace(code, script);
    return script;
  }

  ScriptTable() {
    // Han first (see kHan), then by how common they are; a character of none of them is unassigned.
    static constexpr std::array kNames = {
        "Han",
        "Hiragana",
        "Katakana",
        "Latin",
        "Common",
        "Inherited",
        "Cyrillic",
        "Greek",
        "Arabic",
        "Hebrew",
        "Hangul",
        "Thai",
        "Devanagari",
        "Bengali",
        "Tamil",
        "Telugu",
        "Gujarati",
        "Gurmukhi",
        "Kannada",
        "Malayalam",
        "Oriya",
        "Sinhala",
        "Lao",
        "Tibetan",
        "Myanmar",
        "Georgian",
        "Armenian",
        "Ethiopic",
        "Khmer",
        "Mongolian",
        "Cherokee",
        "Bopomofo",
        "Yi",
        "Braille",
        "Coptic",
        "Gothic",
        "Thaana",
        "Syriac",
        "Runic",
        "Ogham",
        "Canadian_Aboriginal",
        "Tifinagh",
        "Nko",
        "Vai",
        "Javanese",
        "Balinese",
        "Sundanese",
        "Buginese",
        "Batak",
        "Lepcha",
        "Limbu",
        "Tai_Le",
        "New_Tai_Lue",
        "Tai_Tham",
        "Tai_Viet",
        "Cham",
        "Kayah_Li",
        "Lisu",
        "Bamum",
        "Ol_Chiki",
        "Saurashtra",
        "Rejang",
        "Meetei_Mayek",
        "Syloti_Nagri",
        "Phags_Pa",
        "Tagalog",
        "Hanunoo",
        "Buhid",
        "Tagbanwa",
        "Glagolitic",
        "Samaritan",
        "Mandaic",
        "Deseret",
        "Osage",
        "Adlam",
        "Egyptian_Hieroglyphs",
        "Cuneiform",
        "Linear_A",
        "Linear_B",
        "Phoenician",
        "Ugaritic",
        "Old_Persian",
        "Old_Italic",
        "Old_Turkic",
        "Brahmi",
        "Kharoshthi",
        "SignWriting",
        "Tangut",
        "Nushu",
        "Miao",
        "Duployan",
        "Shavian",
        "Osmanya",
        "Cypriot",
    };
    for (const char* name : kNames) {
      auto pattern = Regex::Compile("\\p{" + std::string(name) + "}");
      METIER_CHECK(pattern.ok(), "PCRE2 knows the script");
      patterns_.push_back(std::move(pattern).value());
    }
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::uint32_t, int> known_;
  std::vector<Regex> patterns_;
};

class UnicodeScripts : public PreTokenizer {
 public:
  void Split(Piece piece, Scratch&, PieceSink& sink) const override {
    static ScriptTable& table = *new ScriptTable;  // never destroyed: threads may outlive main
    const std::string_view text = piece.text;
    int last = kNoScript;
    std::size_t begin = std::string_view::npos;
    for (std::size_t i = 0; i < text.size();) {
      const DecodedChar c = DecodeChar(text, i);
      const int script = table.Of(c.code);
      if (script != kAny && script != last) {
        // Like the library, spaces in front of the first script are dropped.
        if (begin != std::string_view::npos) {
          sink.Add({text.substr(begin, i - begin), piece.at_start && begin == 0});
        }
        begin = i;
        last = script;
      }
      i += c.bytes;
    }
    if (begin != std::string_view::npos) {
      sink.Add({text.substr(begin), piece.at_start && begin == 0});
    }
  }
};

}  // namespace

PreTokenizerPtr MakeUnicodeScripts() { return std::make_unique<UnicodeScripts>(); }

}  // namespace metier::text
