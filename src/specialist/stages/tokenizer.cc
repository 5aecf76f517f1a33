// specialist/stages/tokenizer.cc - learns a byte-level BPE tokenizer from a corpus; its folder is
// one that models can use.

#include <fmt/format.h>

#include <cstdint>

#include "base/file.h"
#include "specialist/stages/stages.h"
#include "text/bpe_trainer.h"

namespace metier::specialist {
namespace {

struct TokenizerSettings {
  std::vector<std::string> files;
  std::int64_t vocab_size = 8192;
  std::int64_t min_frequency = 2;
  std::vector<std::string> special_tokens = {"<|endoftext|>"};
  std::string bos_token;
  std::string eos_token = "<|endoftext|>";
  std::string pattern;
  bool individual_digits = false;
  std::string chat_template;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("files", files, "texts to learn from: JSONL with \"text\" or \"messages\", or plain text")
        .Required();
    field("vocab_size", vocab_size, "tokens, the 256 bytes and the special ones included")
        .AtLeast(257);
    field("min_frequency", min_frequency, "rarer pairs are not joined").AtLeast(1);
    field("special_tokens", special_tokens, "control tokens, from id 0 on");
    field("bos_token", bos_token, "which of them begins a text; none by default");
    field("eos_token", eos_token, "which of them ends a text");
    field("pattern", pattern,
          "regular expression of the words that are never joined with each other; none: Llama 3's");
    field("individual_digits", individual_digits,
          "every digit is a token, so that numbers can be copied");
    field("chat_template", chat_template, "Jinja file to put beside the tokenizer");
  }
};

constexpr char kBeginsAnew[] = "the tokenizer begins anew next time";

Result<Json> Run(const StageContext& context) {
  TokenizerSettings settings;
  METIER_TRY(recipe::ReadFields(context.config, context.name, settings));
  text::BpeTrainerOptions options;
  options.vocab_size = settings.vocab_size;
  options.min_frequency = settings.min_frequency;
  options.special_tokens = settings.special_tokens;
  options.bos = settings.bos_token;
  options.eos = settings.eos_token;
  options.pattern = settings.pattern;
  options.threads = context.threads;
  if (settings.individual_digits) options.digits = text::DigitSplit::kIndividually;
  options.on_read = context.Watch(context.name + ": read", kBeginsAnew);
  options.on_merge = context.Watch(context.name + ": merges", kBeginsAnew);
  METIER_ASSIGN(text::BpeTrainer trainer, text::BpeTrainer::Create(std::move(options)));
  for (const std::string& file : settings.files) METIER_TRY(trainer.AddFile(file));
  METIER_ASSIGN(const text::TrainedBpe trained, std::move(trainer).Train());
  METIER_TRY(trained.Save(context.work));
  if (!settings.chat_template.empty()) {
    constexpr std::uint64_t kMostBytes = 1ULL << 20;
    METIER_ASSIGN(const std::string source, ReadFile(settings.chat_template, kMostBytes));
    METIER_TRY(WriteFileAtomic(context.work + "/chat_template.jinja", source));
  }
  return Json{{"vocab_size", trained.vocab_size},
              {"words", trained.words},
              {"dropped_words", trained.dropped_words}};
}

std::string Section(const StageRecord&) { return {}; }

}  // namespace

const StageKind kTokenizerStage = {"tokenizer",
                                   "learn a tokenizer from a corpus",
                                   StageKind::Leftovers::kClear,
                                   &CheckSettings<TokenizerSettings>,
                                   &Run,
                                   &Section,
                                   &SettingsSchema<TokenizerSettings>};

}  // namespace metier::specialist
