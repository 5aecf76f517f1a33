// A row of data, read as each of the forms: refused, or a conversation that the encoder can rely
// on.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/json.h"
#include "data/normalize.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using metier::data::Form;
  using metier::format::Judgement;
  const auto row = metier::ParseJson({reinterpret_cast<const char*>(data), size});
  if (!row.ok()) return 0;
  for (const Form form : {Form::kMessages, Form::kSharegpt, Form::kAlpaca, Form::kCompletion,
                          Form::kText, Form::kPreference, Form::kJudged}) {
    static_cast<void>(metier::data::LooksLike(*row, form));
    const auto read = metier::data::Normalize(*row, form);
    if (!read.ok()) continue;
    METIER_CHECK(read->trained.size() == read->messages.size(), "one flag a message");
    METIER_CHECK(!read->is_text() || !read->text.empty(), "a text says something");
    const bool judged = read->judgement != Judgement::kNone;
    METIER_CHECK(judged == metier::data::IsJudged(form), "a form has judgements or has none");
    METIER_CHECK(read->is_pair() == (form == Form::kPreference), "two answers are a preference");
    if (!judged) continue;
    METIER_CHECK(!read->is_text() || !read->prompt.empty(), "an answer has a prompt");
    if (read->is_text()) continue;
    METIER_CHECK(read->messages.size() > 1, "an answer has a prompt");
    METIER_CHECK(read->messages.back()["role"] == "assistant", "an answer is the assistant's");
    METIER_CHECK(
        std::count(read->trained.begin(), read->trained.end(), 1) == 1 && read->trained.back() == 1,
        "the answer is what is trained");
  }
  return 0;
}
