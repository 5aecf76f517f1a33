#include "unit/text/gguf_vocab_fixture.h"

#include <gtest/gtest.h>

#include <cstring>
#include <span>
#include <variant>
#include <vector>

#include "base/byte_reader.h"

namespace metier::test {
namespace {

using Value = std::variant<std::int64_t, double, std::string, std::vector<std::string>,
                           std::vector<double>, std::vector<std::int64_t>>;

class Reader {
 public:
  explicit Reader(const std::string& bytes)
      : reader_(std::as_bytes(std::span(bytes.data(), bytes.size()))) {}

  text::GgufVocab Read() {
    reader_.U32("magic").value();
    reader_.U32("version").value();
    reader_.U64("tensors").value();
    const std::uint64_t count = reader_.U64("keys").value();
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string key = String();
      Take(key, Read(reader_.U32("type").value()));
    }
    return std::move(vocab_);
  }

 private:
  std::string String() {
    return std::string(reader_.Text(reader_.U64("length").value(), "text").value());
  }
  Value Read(std::uint32_t type) {
    switch (type) {
      case 0:
      case 7: return std::int64_t{reader_.U8("u8").value()};
      case 1: return std::int64_t{static_cast<std::int8_t>(reader_.U8("i8").value())};
      case 4: return std::int64_t{reader_.U32("u32").value()};
      case 5: return std::int64_t{static_cast<std::int32_t>(reader_.U32("i32").value())};
      case 6: return double{reader_.F32("f32").value()};
      case 8: return String();
      case 9: return Array();
      case 10: return static_cast<std::int64_t>(reader_.U64("u64").value());
      default: ADD_FAILURE() << "value type " << type; return std::int64_t{0};
    }
  }
  Value Array() {
    const std::uint32_t type = reader_.U32("type").value();
    const std::uint64_t count = reader_.U64("count").value();
    std::vector<std::string> texts;
    std::vector<double> reals;
    std::vector<std::int64_t> wholes;
    for (std::uint64_t i = 0; i < count; ++i) {
      Value value = Read(type);
      if (auto* text = std::get_if<std::string>(&value)) texts.push_back(std::move(*text));
      if (auto* real = std::get_if<double>(&value)) reals.push_back(*real);
      if (auto* whole = std::get_if<std::int64_t>(&value)) wholes.push_back(*whole);
    }
    if (!texts.empty()) return texts;
    if (!reals.empty()) return reals;
    return wholes;
  }
  void Take(const std::string& key, Value value) {
    const std::string prefix = "tokenizer.ggml.";
    if (key == "general.name") vocab_.name = std::get<std::string>(value);
    if (key.compare(0, prefix.size(), prefix) != 0) return;
    const std::string name = key.substr(prefix.size());
    const auto* whole = std::get_if<std::int64_t>(&value);
    const auto id = [&] { return static_cast<text::TokenId>(*whole); };
    if (name == "model") vocab_.model = std::get<std::string>(value);
    if (name == "pre") vocab_.pre = std::get<std::string>(value);
    if (name == "tokens") vocab_.tokens = std::get<std::vector<std::string>>(std::move(value));
    if (name == "merges") vocab_.merges = std::get<std::vector<std::string>>(std::move(value));
    if (name == "scores") {
      for (const double score : std::get<std::vector<double>>(value)) {
        vocab_.scores.push_back(static_cast<float>(score));
      }
    }
    if (name == "token_type") {
      for (const std::int64_t type : std::get<std::vector<std::int64_t>>(value)) {
        vocab_.token_types.push_back(static_cast<std::int32_t>(type));
      }
    }
    if (name == "bos_token_id") vocab_.bos = id();
    if (name == "eos_token_id") vocab_.eos = id();
    if (name == "eot_token_id") vocab_.eot = id();
    if (name == "unknown_token_id") vocab_.unk = id();
    if (name == "padding_token_id") vocab_.pad = id();
    if (name == "seperator_token_id") vocab_.sep = id();
    if (name == "cls_token_id") vocab_.cls = id();
    if (name == "add_bos_token") vocab_.add_bos = *whole != 0;
    if (name == "add_eos_token") vocab_.add_eos = *whole != 0;
    if (name == "add_space_prefix") vocab_.add_space_prefix = *whole != 0;
  }

  ByteReader reader_;
  text::GgufVocab vocab_;
};

}  // namespace

text::GgufVocab ReadGgufVocab(const std::string& bytes) { return Reader(bytes).Read(); }

}  // namespace metier::test
