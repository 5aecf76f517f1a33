#include "specialist/general_texts.h"

#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "data/encode.h"
#include "format/token_file.h"
#include "specialist/runnable.h"

namespace metier::specialist {
namespace {

constexpr std::array<std::string_view, 12> kTexts = {
    // Narration.
    "The ferry left the harbour a little after six, when the fog was still lying on the water. "
    "Only three passengers stood on deck: an old man with a basket of apples, a girl who was "
    "reading a letter for the second time, and a dog that seemed to belong to nobody. Halfway "
    "across, the engine stopped. Nobody said a word. Then the old man took an apple out of his "
    "basket, cut it into four pieces and gave one of them to the dog.",
    // Explanation.
    "Water boils when the pressure of its vapour is as high as the pressure of the air around it. "
    "On a mountain the air is thinner, so water boils at a lower temperature there, and eggs take "
    "longer to cook. In a pressure cooker it is the other way round: the steam cannot leave, the "
    "pressure rises, and the water gets hotter than a hundred degrees before it boils.",
    // Facts.
    "Paris is the capital of France, Tokyo is the capital of Japan, and Nairobi is the capital of "
    "Kenya. The Earth goes around the Sun once a year, and the Moon goes around the Earth about "
    "once a month. A spider has eight legs, an insect has six, and a bird has two. Gold is heavier "
    "than iron, and ice is lighter than water.",
    // Arithmetic.
    "Two and three make five. Seven times eight is fifty-six. If a book costs 12 euros and a pen "
    "costs 3 euros, then two books and four pens cost 24 + 12 = 36 euros. Half of 90 is 45, and a "
    "quarter of 20 is 5. A week has 7 days, so 3 weeks have 21 days.",
    // Questions and answers.
    "Question: What do bees make?\nAnswer: Bees make honey.\n\nQuestion: Which season comes after "
    "winter?\nAnswer: Spring comes after winter.\n\nQuestion: Why do people carry an umbrella?\n"
    "Answer: To stay dry when it rains.",
    // Instructions.
    "To make tea, boil some water and pour it over the leaves. Wait for three minutes, take the "
    "leaves out, and add milk or sugar if you like. Be careful not to burn your fingers. Wash the "
    "pot when it has cooled down, and put it back where you found it.",
    // A letter.
    "Dear Ms Lindqvist,\n\nthank you for your letter of the 4th of March. We are sorry to hear "
    "that "
    "the parcel came late and that one of the glasses was broken. We will send you a new one this "
    "week, and you do not have to send the old one back.\n\nWith kind regards,\nT. Marchetti",
    // Dialogue.
    "\"Have you seen my keys?\" she asked.\n\"They were on the table this morning.\"\n\"They are "
    "not "
    "there now.\"\n\"Then look in your coat. You always put them in your coat.\"\nShe looked. \"I "
    "hate "
    "it when you are right,\" she said.",
    // News.
    "The town council decided on Tuesday to close the old bridge to cars from the beginning of "
    "next "
    "year. Buses, bicycles and people on foot may still use it. Shop owners on the north side said "
    "that they feared for their business; the mayor answered that a new car park would be ready "
    "before the bridge is closed.",
    // A program.
    "def mean(numbers):\n    \"\"\"The sum of the numbers divided by how many there are.\"\"\"\n   "
    " if "
    "not numbers:\n        return 0\n    total = 0\n    for number in numbers:\n        total += "
    "number\n"
    "    return total / len(numbers)\n",
    // A list.
    "Shopping for Saturday:\n- bread\n- six eggs\n- a litre of milk\n- butter\n- onions and "
    "potatoes\n"
    "- soap\n\nCall the plumber on Monday. Pay the rent before the first.",
    // Argument.
    "Some people think that towns should have more trees, and others would rather have more room "
    "for cars. Trees give shade in summer, they keep the air clean, and they make a street "
    "quieter. "
    "On the other hand, leaves have to be swept up, and roots can break the pavement. If I had to "
    "choose, I would plant the trees and walk.",
};

}  // namespace

Status FillGeneralFile(recipe::TrainConfig& config) {
  if (config.general_file == "none") {
    config.general_file.clear();
    return Ok();
  }
  if (!config.general_file.empty() || config.model.empty() || config.hyper ||
      config.stage == "mlm") {
    return Ok();
  }
  const Result<text::Tokenizer> tokenizer =
      OpenTokenizer(config.tokenizer.empty() ? config.model : config.tokenizer);
  if (!tokenizer.ok()) return Ok();
  std::error_code problem;
  std::filesystem::create_directories(config.output_dir, problem);
  if (problem) {
    return Error(ErrorCode::kIo, "output_dir '" + config.output_dir + "': " + problem.message());
  }
  const std::string path = config.output_dir + "/general.safetensors";
  const data::EncodeOptions options;
  data::Encoder encoder(*tokenizer, nullptr, options);
  METIER_ASSIGN(format::TokenFileWriter writer, format::TokenFileWriter::Create(path));
  for (const std::string_view text : kTexts) {
    data::Conversation conversation;
    conversation.text = text;
    METIER_ASSIGN(const std::vector<data::Example> examples, encoder.Encode(conversation));
    for (const data::Example& example : examples) METIER_TRY(writer.Add(example.ids, example.loss));
  }
  METIER_TRY(writer.Finish({}));
  config.general_file = path;
  return Ok();
}

}  // namespace metier::specialist
