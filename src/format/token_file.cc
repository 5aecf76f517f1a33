#include "format/token_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "base/check.h"

namespace metier::format {
namespace {

// A file without a name: gone with the process, however it ends.
class UnnamedFile {
 public:
  UnnamedFile() = default;
  UnnamedFile(const UnnamedFile&) = delete;
  UnnamedFile& operator=(const UnnamedFile&) = delete;
  ~UnnamedFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  Status Open(const std::string& beside) {
    std::string name = beside + ".part-XXXXXX";
    descriptor_ = ::mkstemp(name.data());
    if (descriptor_ < 0) {
      return Error(ErrorCode::kIo,
                   fmt::format("cannot create '{}': {}", name, std::strerror(errno)));
    }
    ::unlink(name.c_str());
    return Ok();
  }

  Status Append(std::span<const std::byte> bytes) {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    return buffer_.size() < kFlushAt ? Ok() : Flush();
  }

  // All bytes written so far, in pieces.
  Status CopyTo(const ByteSink& sink) {
    METIER_TRY(Flush());
    std::vector<std::byte> piece(kFlushAt);
    for (std::uint64_t at = 0; at < size_;) {
      const ssize_t got = ::pread(descriptor_, piece.data(), piece.size(), static_cast<off_t>(at));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0)
        return Error(ErrorCode::kIo, fmt::format("cannot read back tokens: {}",
                                                 got < 0 ? std::strerror(errno) : "file ends"));
      METIER_TRY(sink(std::span<const std::byte>(piece.data(), static_cast<std::size_t>(got))));
      at += static_cast<std::uint64_t>(got);
    }
    return Ok();
  }

 private:
  static constexpr std::size_t kFlushAt = 1 << 20;

  Status Flush() {
    for (std::size_t done = 0; done < buffer_.size();) {
      const ssize_t put = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0)
        return Error(ErrorCode::kIo, fmt::format("cannot write tokens: {}", std::strerror(errno)));
      done += static_cast<std::size_t>(put);
    }
    size_ += buffer_.size();
    buffer_.clear();
    return Ok();
  }

  int descriptor_ = -1;
  std::vector<std::byte> buffer_;
  std::uint64_t size_ = 0;  // in the file
};

constexpr auto kGood = static_cast<std::uint8_t>(Judgement::kGood);
constexpr auto kBad = static_cast<std::uint8_t>(Judgement::kBad);

// A good and a bad example by turns, to the end.
bool ArePairs(std::span<const std::uint8_t> judged) {
  if (judged.size() % 2 != 0) return false;
  for (std::size_t i = 0; i < judged.size(); i += 2)
    if (judged[i] != kGood || judged[i + 1] != kBad) return false;
  return true;
}

bool SaysPairs(const StringMap& metadata) {
  const auto found = metadata.find(kPairsKey);
  return found != metadata.end() && found->second == "true";
}

template <class T>
Result<std::span<const T>> Column(const SafetensorsFile& file, const std::string& name,
                                  tensor::DType dtype) {
  const tensor::TensorView* view = file.Find(name);
  if (view == nullptr || view->dtype != dtype || view->shape.size() != 1) {
    const std::string found = view == nullptr
                                  ? "none"
                                  : fmt::format("{} {}", tensor::InfoOf(view->dtype).name,
                                                tensor::FormatShape(view->shape));
    return Error(ErrorCode::kDataCorrupt, fmt::format("tensor '{}': found {}, expected {} [n]",
                                                      name, found, tensor::InfoOf(dtype).name));
  }
  if (reinterpret_cast<std::uintptr_t>(view->bytes.data()) % alignof(T) != 0) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("tensor '{}' is not aligned to {} bytes; write the file with starts, "
                             "ids, loss in this order",
                             name, alignof(T)));
  }
  return std::span<const T>(reinterpret_cast<const T*>(view->bytes.data()),
                            view->bytes.size() / sizeof(T));
}

Status CheckColumns(std::span<const std::int64_t> starts, std::span<const std::int32_t> ids,
                    std::span<const std::uint8_t> loss) {
  if (loss.size() != ids.size()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("found {} loss flags for {} tokens", loss.size(), ids.size()));
  }
  const auto tokens = static_cast<std::int64_t>(ids.size());
  if (starts.size() < 2 || starts.front() != 0 || starts.back() != tokens) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("starts must lead from 0 to the {} tokens", tokens));
  }
  for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
    if (starts[i] >= starts[i + 1])
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("starts[{}] = {} is not below starts[{}] = {}", i, starts[i], i + 1,
                               starts[i + 1]));
  }
  const auto negative = std::find_if(ids.begin(), ids.end(), [](auto id) { return id < 0; });
  if (negative != ids.end()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("token {} has id {}", negative - ids.begin(), *negative));
  }
  return Ok();
}

Status CheckJudgements(std::span<const std::uint8_t> judged, std::int64_t examples) {
  if (judged.size() != static_cast<std::size_t>(examples)) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("found {} judgements for {} examples", judged.size(), examples));
  }
  const auto unknown =
      std::find_if(judged.begin(), judged.end(), [](auto one) { return one > kBad; });
  if (unknown != judged.end()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("judged[{}]: found {}, expected 0 (none), 1 (good) or 2 (bad)",
                             unknown - judged.begin(), *unknown));
  }
  return Ok();
}

}  // namespace

struct TokenFileWriter::State {
  std::string path;
  UnnamedFile starts;
  UnnamedFile ids;
  UnnamedFile loss;
  UnnamedFile judged;
  std::int64_t examples = 0;
  std::int64_t tokens = 0;
  bool any_judged = false;
  bool pairs = true;  // so far the examples are a good and a bad one by turns
};

TokenFileWriter::TokenFileWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
TokenFileWriter::TokenFileWriter(TokenFileWriter&&) noexcept = default;
TokenFileWriter::~TokenFileWriter() = default;

std::int64_t TokenFileWriter::examples() const { return state_->examples; }
std::int64_t TokenFileWriter::tokens() const { return state_->tokens; }

Result<TokenFileWriter> TokenFileWriter::Create(const std::string& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  METIER_TRY(state->starts.Open(path));
  METIER_TRY(state->ids.Open(path));
  METIER_TRY(state->loss.Open(path));
  METIER_TRY(state->judged.Open(path));
  const std::int64_t zero = 0;
  METIER_TRY(state->starts.Append(std::as_bytes(std::span(&zero, 1))));
  return TokenFileWriter(std::move(state));
}

Status TokenFileWriter::Add(std::span<const std::int32_t> ids, std::span<const std::uint8_t> loss,
                            Judgement judgement) {
  METIER_CHECK(ids.size() == loss.size(), "one loss flag a token");
  if (ids.empty()) return Error(ErrorCode::kInvalidArgument, "an example without tokens");
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && loss[i] <= 1) continue;
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("token {} of an example: found id {} and loss flag {}, expected an id "
                             ">= 0 and 0 or 1",
                             i, ids[i], loss[i]));
  }
  METIER_TRY(state_->ids.Append(std::as_bytes(ids)));
  METIER_TRY(state_->loss.Append(std::as_bytes(loss)));
  METIER_TRY(state_->judged.Append(std::as_bytes(std::span(&judgement, 1))));
  const Judgement in_pairs = state_->examples % 2 == 0 ? Judgement::kGood : Judgement::kBad;
  state_->pairs = state_->pairs && judgement == in_pairs;
  state_->any_judged = state_->any_judged || judgement != Judgement::kNone;
  ++state_->examples;
  state_->tokens += static_cast<std::int64_t>(ids.size());
  return state_->starts.Append(std::as_bytes(std::span(&state_->tokens, 1)));
}

Status TokenFileWriter::Finish(const StringMap& metadata) {
  State& state = *state_;
  if (state.examples == 0) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("'{}': there is no example to write", state.path));
  }
  if (SaysPairs(metadata) && (!state.pairs || state.examples % 2 != 0)) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("'{}': the metadata says pairs, expected a good and a bad example by "
                             "turns",
                             state.path));
  }
  std::vector<TensorInfo> infos = {
      {"starts", tensor::DType::kI64, {state.examples + 1}},
      {"ids", tensor::DType::kI32, {state.tokens}},
      {"loss", tensor::DType::kU8, {state.tokens}},
  };
  if (state.any_judged) infos.push_back({"judged", tensor::DType::kU8, {state.examples}});
  const std::array<UnnamedFile*, 4> columns = {&state.starts, &state.ids, &state.loss,
                                               &state.judged};
  return StreamSafetensors(
      state.path, infos, metadata,
      [&columns](std::size_t index, const ByteSink& sink) { return columns[index]->CopyTo(sink); });
}

Result<TokenFile> TokenFile::Open(const std::string& path, const Limits& limits) {
  METIER_ASSIGN(SafetensorsFile opened, SafetensorsFile::Open(path, limits));
  TokenFile file(std::make_shared<const SafetensorsFile>(std::move(opened)));
  const auto read = [&file]() -> Status {
    METIER_ASSIGN(file.starts_, Column<std::int64_t>(*file.file_, "starts", tensor::DType::kI64));
    METIER_ASSIGN(file.ids_, Column<std::int32_t>(*file.file_, "ids", tensor::DType::kI32));
    METIER_ASSIGN(file.loss_, Column<std::uint8_t>(*file.file_, "loss", tensor::DType::kU8));
    METIER_TRY(CheckColumns(file.starts_, file.ids_, file.loss_));
    return file.ReadJudgements();
  };
  if (auto status = read(); !status.ok())
    return std::move(status).error().With("token file '" + path + "'");
  return file;
}

Status TokenFile::ReadJudgements() {
  if (file_->Find("judged") != nullptr) {
    METIER_ASSIGN(judged_, Column<std::uint8_t>(*file_, "judged", tensor::DType::kU8));
    METIER_TRY(CheckJudgements(judged_, examples()));
    has_judgements_ =
        std::any_of(judged_.begin(), judged_.end(), [](auto one) { return one != 0; });
  }
  paired_ = SaysPairs(metadata());
  if (paired_ && (judged_.empty() || !ArePairs(judged_))) {
    return Error(ErrorCode::kDataCorrupt,
                 "the metadata says pairs, expected a good and a bad example by turns");
  }
  return Ok();
}

std::span<const std::int32_t> TokenFile::Ids(std::int64_t example) const {
  const auto i = static_cast<std::size_t>(example);
  return ids_.subspan(static_cast<std::size_t>(starts_[i]),
                      static_cast<std::size_t>(starts_[i + 1] - starts_[i]));
}

std::span<const std::uint8_t> TokenFile::Loss(std::int64_t example) const {
  const auto i = static_cast<std::size_t>(example);
  return loss_.subspan(static_cast<std::size_t>(starts_[i]),
                       static_cast<std::size_t>(starts_[i + 1] - starts_[i]));
}

Judgement TokenFile::Judgement(std::int64_t example) const {
  if (judged_.empty()) return format::Judgement::kNone;
  return static_cast<format::Judgement>(judged_[static_cast<std::size_t>(example)]);
}

}  // namespace metier::format
