#include <fmt/format.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>
#include <sstream>
#include <string>

#include "base/file.h"
#include "base/json_builder.h"
#include "base/utf8.h"

namespace metier {
namespace {

constexpr std::string_view kCoreTags = "tag:yaml.org,2002:";

// Carries an Error of ours out of the library's parser, which knows exceptions only.
struct Refused {
  Error error;
};

[[noreturn]] void Refuse(ErrorCode code, const YAML::Mark& mark, std::string_view why) {
  throw Refused{Error(code, fmt::format("YAML line {}: {}", mark.line + 1, why))};
}

template <class T>
bool ReadInteger(std::string_view digits, int base, T& value) {
  const auto [end, failed] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  return failed == std::errc() && end == digits.data() + digits.size();
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?   (YAML 1.2.2, section 10.3.2)
bool LooksLikeFloat(std::string_view text) {
  const auto digits = [&text] {
    const std::size_t size = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(size);
    return size;
  };
  const auto skip = [&text](std::string_view any_of) {
    if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
    text.remove_prefix(1);
    return true;
  };
  skip("+-");
  const std::size_t whole = digits();
  const std::size_t fraction = skip(".") ? digits() : 0;
  if (whole + fraction == 0) return false;
  if (skip("eE")) {
    skip("+-");
    if (digits() == 0) return false;
  }
  return text.empty();
}

// A plain scalar by the core schema: "yes" and "on" are strings, which is what people mean.
Json PlainScalar(const std::string& text, const YAML::Mark& mark) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static const std::map<std::string_view, Json> kWords = {
      {"", nullptr},          {"~", nullptr},         {"null", nullptr},     {"Null", nullptr},
      {"NULL", nullptr},      {"true", true},         {"True", true},        {"TRUE", true},
      {"false", false},       {"False", false},       {"FALSE", false},      {".inf", kInfinity},
      {".Inf", kInfinity},    {".INF", kInfinity},    {"+.inf", kInfinity},  {"+.Inf", kInfinity},
      {"+.INF", kInfinity},   {"-.inf", -kInfinity},  {"-.Inf", -kInfinity}, {"-.INF", -kInfinity},
      {".nan", std::nan("")}, {".NaN", std::nan("")}, {".NAN", std::nan("")}};
  if (const auto word = kWords.find(text); word != kWords.end()) return word->second;

  std::string_view digits = text;
  std::uint64_t large = 0;
  if (digits.starts_with("0x") && ReadInteger(digits.substr(2), 16, large)) return large;
  if (digits.starts_with("0o") && ReadInteger(digits.substr(2), 8, large)) return large;
  if (!LooksLikeFloat(text)) return text;
  if (digits.front() == '+') digits.remove_prefix(1);
  std::int64_t integer = 0;
  if (ReadInteger(digits, 10, integer)) return integer;
  if (ReadInteger(digits, 10, large)) return large;
  // strtod, not from_chars: below the smallest number it gives 0, where from_chars gives nothing.
  const double number = std::strtod(text.c_str(), nullptr);
  if (!std::isfinite(number))
    Refuse(ErrorCode::kDataCorrupt, mark, fmt::format("the number {} is too large", Excerpt(text)));
  return number;
}

class YamlReader : public YAML::EventHandler {
 public:
  explicit YamlReader(const Limits& limits) : limits_(limits), builder_(limits) {}

  Json Take() && { return std::move(builder_).Take(); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) Refuse(ErrorCode::kDataCorrupt, mark, "a second document; one is read");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(mark, anchor, nullptr);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (builder_.ExpectsKey()) return Add(mark, anchor, value);
    // yaml-cpp tags a quoted scalar "!" and a plain one "?".
    if (tag == "!" || tag == std::string(kCoreTags) + "str") return Add(mark, anchor, value);
    CheckTag(mark, tag, {"?", "int", "float", "bool", "null"});
    Json plain = PlainScalar(value, mark);
    if (tag != "?" && !Fits(plain, tag)) {
      Refuse(ErrorCode::kDataCorrupt, mark,
             fmt::format("'{}' is not what its tag says, !!{}", Excerpt(value),
                         tag.substr(kCoreTags.size())));
    }
    Add(mark, anchor, std::move(plain));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end())
      Refuse(ErrorCode::kDataCorrupt, mark, "an alias of the very node it stands in");
    Count(mark, known->second.nodes);
    AddCounted(mark, known->second.value);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    CheckTag(mark, tag, {"?", "!", "", "seq"});
    Open(mark, anchor, Json::array());
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    CheckTag(mark, tag, {"?", "!", "", "map"});
    Open(mark, anchor, Json::object());
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Anchored {
    Json value;
    std::uint64_t nodes;
  };
  struct Opened {
    YAML::Mark mark;
    YAML::anchor_t anchor;
    std::uint64_t nodes_before;
  };

  static void CheckTag(const YAML::Mark& mark, std::string_view tag,
                       std::initializer_list<std::string_view> known) {
    std::string_view name = tag;
    if (name.starts_with(kCoreTags)) name.remove_prefix(kCoreTags.size());
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      Refuse(ErrorCode::kUnsupported, mark,
             fmt::format("the tag '{}' means nothing here; remove it", Excerpt(tag)));
    }
  }

  static bool Fits(const Json& value, std::string_view tag) {
    const std::string_view name = tag.substr(kCoreTags.size());
    return (name == "int" && value.is_number_integer()) || (name == "float" && value.is_number()) ||
           (name == "bool" && value.is_boolean()) || (name == "null" && value.is_null());
  }

  void Count(const YAML::Mark& mark, std::uint64_t more) {
    nodes_ += more;
    if (nodes_ > limits_.max_yaml_nodes) {
      Refuse(ErrorCode::kResourceExhausted, mark,
             fmt::format("more than {} nodes with aliases expanded", limits_.max_yaml_nodes));
    }
  }

  void Check(const YAML::Mark& mark, Status status) {
    if (!status.ok())
      throw Refused{std::move(status).error().With(fmt::format("YAML line {}", mark.line + 1))};
  }

  void Add(const YAML::Mark& mark, YAML::anchor_t anchor, Json value) {
    Count(mark, 1);
    if (anchor != 0) Remember(mark, anchor, value, 1);
    AddCounted(mark, std::move(value));
  }

  // A value whose nodes are counted: a key where one is due, else an item.
  void AddCounted(const YAML::Mark& mark, Json value) {
    if (!builder_.ExpectsKey()) {
      builder_.Add(std::move(value));
      return;
    }
    if (!value.is_string())
      Refuse(ErrorCode::kDataCorrupt, mark, "a key that is no text; put it in quotes");
    Check(mark, builder_.Key(std::move(value.get_ref<std::string&>())));
  }

  void Open(const YAML::Mark& mark, YAML::anchor_t anchor, Json container) {
    if (builder_.ExpectsKey()) {  // the library also takes a bracket without end for a key
      Refuse(ErrorCode::kDataCorrupt, mark,
             "a list or mapping in the place of a key; is a bracket not closed?");
    }
    Check(mark, builder_.Open(std::move(container)));
    opened_.push_back({mark, anchor, nodes_});
    Count(mark, 1);
  }

  void Close() {
    const Opened opened = opened_.back();
    opened_.pop_back();
    Json value = builder_.Close();
    if (opened.anchor != 0)
      Remember(opened.mark, opened.anchor, value, nodes_ - opened.nodes_before);
    builder_.Add(std::move(value));
  }

  // Keeps a copy, which costs as much as the node itself: anchors around anchors are counted too.
  void Remember(const YAML::Mark& mark, YAML::anchor_t anchor, const Json& value,
                std::uint64_t nodes) {
    kept_ += nodes;
    if (kept_ > limits_.max_yaml_nodes) {
      Refuse(ErrorCode::kResourceExhausted, mark,
             fmt::format("more than {} nodes in anchors", limits_.max_yaml_nodes));
    }
    anchors_.insert_or_assign(anchor, Anchored{value, nodes});
  }

  const Limits& limits_;
  JsonBuilder builder_;
  std::vector<Opened> opened_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  std::uint64_t nodes_ = 0;
  std::uint64_t kept_ = 0;
  int documents_ = 0;
};

// yaml-cpp replaces what is not UTF-8, takes UTF-16 for text and byte 4 for the end of the file,
// all without a word.
Status CheckCharacters(std::string_view text) {
  const auto line = [&](std::size_t at) {
    return 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
  };
  if (const auto at = FirstInvalidUtf8(text)) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("YAML line {}: byte {} is not UTF-8", line(*at), *at));
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 || byte == '\t' || byte == '\n' || byte == '\r') continue;
    return Error(
        ErrorCode::kDataCorrupt,
        fmt::format("YAML line {}: the control character \\x{:02x} at byte {}; write it as "
                    "an escape in double quotes",
                    line(i), byte, i));
  }
  return Ok();
}

}  // namespace

Result<Json> ParseYaml(std::string_view text, const Limits& limits) {
  if (text.size() > limits.max_yaml_bytes) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("YAML: {} bytes, limit {}", text.size(), limits.max_yaml_bytes));
  }
  METIER_TRY(CheckCharacters(text));
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    YamlReader reader(limits);
    while (parser.HandleNextDocument(reader)) {
    }
    return std::move(reader).Take();
  } catch (Refused& refused) {
    return std::move(refused.error);
  } catch (const YAML::DeepRecursion& why) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("YAML line {}: nested too deeply", why.mark.line + 1));
  } catch (const YAML::Exception& why) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("YAML line {}: {}", why.mark.line + 1, Excerpt(why.msg, 300)));
  } catch (const std::exception& why) {  // the library lets standard exceptions through
    return Error(ErrorCode::kDataCorrupt, fmt::format("YAML: {}", why.what()));
  }
}

Result<Json> ReadYamlFile(const std::string& path, const Limits& limits) {
  METIER_ASSIGN(const std::string text, ReadFile(path, limits.max_yaml_bytes));
  auto parsed = ParseYaml(text, limits);
  if (!parsed.ok()) return std::move(parsed).error().With("'" + path + "'");
  return parsed;
}

}  // namespace metier
