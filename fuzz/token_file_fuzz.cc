// Token files from anywhere: opened or refused; of what opens every example is there to read, and
// pairs are a good and a bad answer.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "format/token_file.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using metier::format::Judgement;
  const metier::fuzz::MemoryFile input(data, size);
  const auto file = metier::format::TokenFile::Open(input.path());
  if (!file.ok()) return 0;
  std::int64_t tokens = 0;
  bool judged = false;
  for (std::int64_t i = 0; i < file->examples(); ++i) {
    METIER_CHECK(file->Ids(i).size() == file->Loss(i).size() && !file->Ids(i).empty(), "example");
    for (const std::int32_t id : file->Ids(i)) METIER_CHECK(id >= 0, "ids are not negative");
    const Judgement judgement = file->Judgement(i);
    METIER_CHECK(judgement <= Judgement::kBad, "a judgement is one of three");
    METIER_CHECK(!file->paired() || judgement == (i % 2 == 0 ? Judgement::kGood : Judgement::kBad),
                 "pairs take turns");
    judged = judged || judgement != Judgement::kNone;
    tokens += static_cast<std::int64_t>(file->Ids(i).size());
  }
  METIER_CHECK(tokens == file->tokens(), "every token is an example's");
  METIER_CHECK(judged == file->has_judgements(), "a judgement is seen");
  METIER_CHECK(!file->paired() || file->examples() % 2 == 0, "pairs are whole");
  return 0;
}
