#include "text/bpe_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <set>
#include <utility>

#include "base/file.h"
#include "base/thread_pool.h"
#include "text/tokenizer/byte_alphabet.h"
#include "text/tokenizer/unicode.h"
#include "text/trainer/merge_learner.h"
#include "text/trainer/word_counter.h"

namespace metier::text {

const std::string_view kDefaultBpePattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

namespace {

constexpr std::int64_t kBytes = 256;
constexpr std::size_t kReadBytes = 1 << 20;

// Appends to an object without nlohmann's walk through all keys; the key must be new.
void Append(Json& object, std::string key, Json value) {
  auto& members = object.get_ref<Json::object_t&>();
  members.Json::object_t::Container::emplace_back(std::move(key), std::move(value));
}

Status CheckOptions(const BpeTrainerOptions& options) {
  const auto special = static_cast<std::int64_t>(options.special_tokens.size());
  constexpr std::int64_t kMost = 1 << 22;
  if (options.vocab_size < kBytes + special || options.vocab_size > kMost) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("vocab_size {}: expected {} (256 bytes and {} special tokens) to {}",
                             options.vocab_size, kBytes + special, special, kMost));
  }
  std::set<std::string> seen;
  for (const std::string& token : options.special_tokens) {
    METIER_TRY(CheckUtf8(token, "special token"));
    if (token.empty() || !seen.insert(token).second) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("special token '{}' is empty or stands twice", token));
    }
    // A lone character of the byte alphabet is the name of a byte.
    if (const DecodedChar c = DecodeChar(token, 0);
        c.bytes == token.size() && AlphabetToByte(c.code) >= 0) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("special token '{}' is the name of a byte", token));
    }
  }
  for (const std::string* role : {&options.bos, &options.eos, &options.pad}) {
    if (role->empty() || seen.count(*role) > 0) continue;
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("'{}' has a role but is not in special_tokens", *role));
  }
  if (options.add_bos == BosAtStart::kYes && options.bos.empty()) {
    return Error(ErrorCode::kInvalidArgument, "add_bos needs a bos token");
  }
  if (options.max_words < 1 || options.batch_bytes < 1) {
    return Error(ErrorCode::kInvalidArgument, "max_words and batch_bytes must be at least 1");
  }
  return Ok();
}

bool IsJsonLines(const std::string& path, CorpusFormat format) {
  if (format != CorpusFormat::kByName) return format == CorpusFormat::kJsonLines;
  return path.ends_with(".jsonl") || path.ends_with(".ndjson");
}

// The texts of one line: "text", or what the messages say.
Status TextsOfLine(const Json& line, const std::function<Status(std::string_view)>& add) {
  if (!line.is_object()) return Error(ErrorCode::kDataCorrupt, "expected an object");
  if (const auto text = line.find("text"); text != line.end() && text->is_string()) {
    return add(text->get_ref<const std::string&>());
  }
  const auto messages = line.find("messages");
  if (messages == line.end() || !messages->is_array()) {
    return Error(ErrorCode::kDataCorrupt, "expected \"text\" (a string) or \"messages\" (a list)");
  }
  for (const Json& message : *messages) {
    if (!message.is_object()) return Error(ErrorCode::kDataCorrupt, "a message is no object");
    // Most templates spell the role out, before every message.
    for (const char* key : {"role", "content"}) {
      const auto part = message.find(key);
      if (part == message.end() || !part->is_string()) continue;
      METIER_TRY(add(part->get_ref<const std::string&>()));
    }
    if (const auto calls = message.find("tool_calls"); calls != message.end()) {
      METIER_TRY(add(DumpPython(*calls)));
    }
  }
  return Ok();
}

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

struct BpeTrainer::State {
  State(BpeTrainerOptions opts, PreTokenizers stages)
      : options(std::move(opts)),
        counter(
            std::move(stages), options.special_tokens,
            WordCounterOptions{options.threads > 0 ? options.threads : ThreadPool::DefaultThreads(),
                               options.max_words, options.batch_bytes}) {}

  // Hands the file on in blocks that end where `cut` says: it gets the buffer and returns how many
  // bytes of it are whole texts; 0: more is needed.
  Status ReadBlocks(const std::string& path,
                    const std::function<std::size_t(std::string_view)>& cut,
                    const std::function<Status(std::string_view)>& take) const;
  Status AddTextFile(const std::string& path);
  Status AddJsonLines(const std::string& path);
  Json Vocabulary(const std::vector<LearnedMerge>& merges, Json& merge_list) const;

  BpeTrainerOptions options;
  WordCounter counter;
};

Status BpeTrainer::State::ReadBlocks(const std::string& path,
                                     const std::function<std::size_t(std::string_view)>& cut,
                                     const std::function<Status(std::string_view)>& take) const {
  const std::unique_ptr<std::FILE, FileCloser> file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) {
    return Error(ErrorCode::kNotFound, fmt::format("'{}': cannot be opened", path));
  }
  std::error_code unknown;
  const std::uint64_t size = std::filesystem::file_size(path, unknown);
  std::uint64_t read = 0;
  std::string buffer;
  for (;;) {
    const std::size_t before = buffer.size();
    buffer.resize(before + kReadBytes);
    buffer.resize(before + std::fread(buffer.data() + before, 1, kReadBytes, file.get()));
    if (std::ferror(file.get()) != 0) {
      return Error(ErrorCode::kIo, fmt::format("'{}': cannot be read", path));
    }
    const bool last = buffer.size() == before;
    const std::size_t whole = last ? buffer.size() : cut(buffer);
    if (whole > 0) METIER_TRY(take(std::string_view(buffer).substr(0, whole)));
    if (last) return Ok();
    read += buffer.size() - before;
    METIER_TRY(Report(options.on_read, read, unknown ? read : size));
    buffer.erase(0, whole);
  }
}

Status BpeTrainer::State::AddTextFile(const std::string& path) {
  const auto starts_text = [](std::string_view text, std::size_t at) {
    return text[at - 1] == '\n' && !IsWhitespace(static_cast<unsigned char>(text[at]));
  };
  const auto longest = static_cast<std::size_t>(options.batch_bytes);
  const auto cut = [&](std::string_view text) -> std::size_t {
    for (std::size_t at = text.size(); at-- > 1;) {
      if (starts_text(text, at)) return at;
    }
    return text.size() >= longest ? CompletePrefix(text) : 0;
  };
  std::uint64_t offset = 0;
  return ReadBlocks(path, cut, [&](std::string_view block) -> Status {
    if (const std::size_t bad = FindInvalidUtf8(block); bad != std::string_view::npos) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("'{}': byte {} is not valid UTF-8", path, offset + bad));
    }
    std::size_t begin = 0;
    for (std::size_t at = 1; at < block.size(); ++at) {
      const bool too_long =
          at - begin >= longest && (static_cast<unsigned char>(block[at]) & 0xC0) != 0x80;
      if (!too_long && !starts_text(block, at)) continue;
      METIER_TRY(counter.Add(block.substr(begin, at - begin)));
      begin = at;
    }
    offset += block.size();
    return counter.Add(block.substr(begin));
  });
}

Status BpeTrainer::State::AddJsonLines(const std::string& path) {
  const auto cut = [](std::string_view text) {
    const std::size_t end = text.rfind('\n');
    return end == std::string_view::npos ? 0 : end + 1;
  };
  std::uint64_t number = 0;
  return ReadBlocks(path, cut, [&](std::string_view block) -> Status {
    for (std::size_t begin = 0; begin < block.size();) {
      std::size_t end = block.find('\n', begin);
      if (end == std::string_view::npos) end = block.size();
      const std::string_view line = block.substr(begin, end - begin);
      begin = end + 1;
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      auto json = ParseJson(line);
      Status status =
          json.ok() ? TextsOfLine(*json, [&](std::string_view text) { return counter.Add(text); })
                    : Status(std::move(json).error());
      if (!status.ok()) {
        return std::move(status).error().With(fmt::format("'{}', line {}", path, number));
      }
    }
    return Ok();
  });
}

Json BpeTrainer::State::Vocabulary(const std::vector<LearnedMerge>& merges,
                                   Json& merge_list) const {
  Json vocab = Json::object();
  std::int64_t id = 0;
  for (const std::string& token : options.special_tokens) Append(vocab, token, id++);
  std::vector<std::string> names;
  names.reserve(static_cast<std::size_t>(kBytes) + merges.size());
  for (int byte = 0; byte < kBytes; ++byte) {
    names.emplace_back(ByteToAlphabet(static_cast<unsigned char>(byte)));
    Append(vocab, names.back(), id++);
  }
  for (const LearnedMerge& merge : merges) {
    merge_list.push_back(names[merge.left] + " " + names[merge.right]);
    if (merge.joined < names.size()) continue;
    names.push_back(names[merge.left] + names[merge.right]);
    Append(vocab, names.back(), id++);
  }
  return vocab;
}

BpeTrainer::BpeTrainer(std::unique_ptr<State> state) : state_(std::move(state)) {}
BpeTrainer::BpeTrainer(BpeTrainer&&) noexcept = default;
BpeTrainer& BpeTrainer::operator=(BpeTrainer&&) noexcept = default;
BpeTrainer::~BpeTrainer() = default;

Result<BpeTrainer> BpeTrainer::Create(BpeTrainerOptions options) {
  METIER_TRY(CheckOptions(options));
  if (options.pattern.empty()) options.pattern = std::string(kDefaultBpePattern);
  METIER_ASSIGN(Regex regex, Regex::Compile(options.pattern));
  PreTokenizers stages;
  if (options.digits == DigitSplit::kIndividually) {
    stages.push_back(MakeCharSplit(IsNumeric, SplitBehavior::kIsolated));
  }
  stages.push_back(MakeSplit(std::move(regex), SplitBehavior::kIsolated, SplitMatches::kOfPattern));
  return BpeTrainer(std::make_unique<State>(std::move(options), std::move(stages)));
}

Status BpeTrainer::AddText(std::string_view text) {
  METIER_TRY(CheckUtf8(text, "text"));
  return state_->counter.Add(text);
}

Status BpeTrainer::AddTexts(const std::function<Result<std::optional<std::string>>()>& next) {
  for (;;) {
    METIER_ASSIGN(const std::optional<std::string> text, next());
    if (!text.has_value()) return Ok();
    METIER_TRY(AddText(*text));
  }
}

Status BpeTrainer::AddFile(const std::string& path, CorpusFormat format) {
  return IsJsonLines(path, format) ? state_->AddJsonLines(path) : state_->AddTextFile(path);
}

Result<TrainedBpe> BpeTrainer::Train() && {
  const BpeTrainerOptions& options = state_->options;
  METIER_TRY(state_->counter.Flush());
  TrainedBpe trained;
  trained.dropped_words = state_->counter.dropped_words();
  trained.count_error = state_->counter.count_error();
  const std::vector<WordCounter::Word> words = state_->counter.Take();
  trained.words = static_cast<std::int64_t>(words.size());
  const auto special = static_cast<std::int64_t>(options.special_tokens.size());
  METIER_ASSIGN(const std::vector<LearnedMerge> merges,
                LearnMerges(words, {.symbols = options.vocab_size - kBytes - special,
                                    .min_frequency = options.min_frequency,
                                    .on_merge = options.on_merge}));
  Json merge_list = Json::array();
  Json vocab = state_->Vocabulary(merges, merge_list);
  trained.vocab_size = static_cast<std::int64_t>(vocab.size());

  Json added = Json::array();
  for (std::int64_t id = 0; id < special; ++id) {
    added.push_back({{"id", id},
                     {"content", options.special_tokens[static_cast<std::size_t>(id)]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", false},
                           {"use_regex", false}};
  Json stages = Json::array();
  if (options.digits == DigitSplit::kIndividually) {
    stages.push_back({{"type", "Digits"}, {"individual_digits", true}});
  }
  stages.push_back({{"type", "Split"},
                    {"pattern", {{"Regex", options.pattern}}},
                    {"behavior", "Isolated"},
                    {"invert", false}});
  stages.push_back(byte_level);
  Json post = nullptr;
  if (options.add_bos == BosAtStart::kYes) {
    const auto found =
        std::find(options.special_tokens.begin(), options.special_tokens.end(), options.bos);
    const Json bos = {{"SpecialToken", {{"id", options.bos}, {"type_id", 0}}}};
    const Json first = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
    const Json second = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
    post = {{"type", "TemplateProcessing"},
            {"single", Json::array({bos, first})},
            {"pair", Json::array({bos, first, bos, second})},
            {"special_tokens",
             {{options.bos,
               {{"id", options.bos},
                {"ids", Json::array({found - options.special_tokens.begin()})},
                {"tokens", Json::array({options.bos})}}}}}};
  }
  Json model = {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", nullptr},
                {"continuing_subword_prefix", nullptr},
                {"end_of_word_suffix", nullptr},
                {"fuse_unk", false},
                {"byte_fallback", false},
                {"ignore_merges", false}};
  Append(model, "vocab", std::move(vocab));
  Append(model, "merges", std::move(merge_list));
  trained.tokenizer = {{"version", "1.0"},
                       {"truncation", nullptr},
                       {"padding", nullptr},
                       {"added_tokens", std::move(added)},
                       {"normalizer", nullptr},
                       {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", stages}}},
                       {"post_processor", std::move(post)},
                       {"decoder", byte_level}};
  Append(trained.tokenizer, "model", std::move(model));

  const auto role = [](const std::string& name) { return name.empty() ? Json() : Json(name); };
  trained.config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                    {"bos_token", role(options.bos)},
                    {"eos_token", role(options.eos)},
                    {"pad_token", role(options.pad)},
                    {"clean_up_tokenization_spaces", false}};
  return trained;
}

Status TrainedBpe::Save(const std::string& folder) const {
  METIER_TRY(MakeDirectories(folder));
  METIER_TRY(WriteFileAtomic(folder + "/tokenizer.json", DumpPretty(tokenizer)));
  return WriteFileAtomic(folder + "/tokenizer_config.json", DumpPretty(config));
}

}  // namespace metier::text
