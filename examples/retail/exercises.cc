#include "retail/exercises.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "fmt/format.h"
#include "retail/generate.h"

namespace metier::retail {
namespace {

std::string Join(const std::vector<std::string>& parts, std::string_view between) {
  return fmt::format("{}", fmt::join(parts, between));
}

// "The order number of Mira is W48213. ... Q: What is the order number of Mira? A: W48213"
std::string LookUp(Scene& scene) {
  static constexpr std::string_view kAsk[] = {"Q: What is the {} of {}? A: {}",
                                              "Question: {} of {}? Answer: {}",
                                              "Which {} does {} have? {}",
                                              "Tell me the {} of {}. It is {}.",
                                              "Do you know the {} of {}? Yes, it is {}.",
                                              "{} of {}: {}"};
  const std::vector<std::string> people = scene.People(scene.Number(2, 5));
  const Field* fields[2] = {&scene.AnyField(), &scene.AnyField()};
  std::vector<std::string> facts;
  struct Answer {
    std::string_view field;
    std::string person;
    std::string value;
  };
  std::vector<Answer> answers;
  const bool two = fields[0] != fields[1] && Chance(0.5, scene.rng());
  for (const std::string& person : people) {
    for (int i = 0; i < (two ? 2 : 1); ++i) {
      const std::string value = scene.Value(*fields[i]);
      const std::string_view form =
          Chance(0.5, scene.rng()) ? "The {} of {} is {}." : "{1} has the {0} {2}.";
      facts.push_back(fmt::format(fmt::runtime(form), fields[i]->words, person, value));
      answers.push_back({fields[i]->words, person, value});
    }
  }
  if (Chance(0.3, scene.rng())) Shuffle(facts, scene.rng());
  Shuffle(answers, scene.rng());
  std::string out = Join(facts, " ");
  const std::string_view ask = Any(kAsk, scene);
  const std::size_t questions = 1 + scene.rng().Below(answers.size());
  for (std::size_t i = 0; i < questions; ++i) {
    out += "\n" +
           fmt::format(fmt::runtime(ask), answers[i].field, answers[i].person, answers[i].value);
  }
  return out;
}

// A sentence and the same facts as a JSON object.
std::string ToJsonRecord(Scene& scene) {
  std::vector<const Field*> fields;
  for (const Field& field : Fields()) fields.push_back(&field);
  Shuffle(fields, scene.rng());
  fields.resize(static_cast<std::size_t>(scene.Number(1, 4)));
  std::string out;
  const bool spaced = Chance(0.5, scene.rng());
  const int records = scene.Number(1, 3);
  for (int i = 0; i < records; ++i) {
    std::vector<std::string> said;
    Json object = Json::object();
    const std::string person = scene.First();
    if (Chance(0.5, scene.rng())) object["person"] = person;
    for (const Field* field : fields) {
      const std::string value = scene.Value(*field);
      said.push_back(fmt::format("{} {}", field->words, value));
      object[std::string(field->key)] = value;
    }
    if (Chance(0.4, scene.rng())) Shuffle(said, scene.rng());
    static constexpr std::string_view kLead[] = {"{}: {}.", "For {} we have {}.", "{} told us: {}.",
                                                 "I am {}, {}."};
    out += fmt::format(fmt::runtime(Any(kLead, scene)), person, Join(said, ", ")) + "\n" +
           (spaced ? DumpPython(object) : DumpCompact(object)) + "\n";
  }
  out.pop_back();
  return out;
}

// A JSON record, and what it says in words.
std::string FromJsonRecord(Scene& scene) {
  Json list = Json::array();
  std::vector<std::pair<std::string, std::string>> known;
  const int size = scene.Number(2, 4);
  for (int i = 0; i < size; ++i) {
    const std::string item = scene.Item();
    const std::string number = Chance(0.5, scene.rng()) ? scene.Sku() : scene.OrderId();
    list.push_back(Json{{"item", item}, {"number", number}, {"price", scene.Price()}});
    known.emplace_back(item, number);
  }
  std::string out = DumpCompact(list);
  const auto& [item, number] = PickOne(known, scene.rng());
  const std::string noun = item.substr(item.find(' ') + 1);
  static constexpr std::string_view kAsk[] = {"The {} has the number {}.",
                                              "Q: Which number has the {}? A: {}",
                                              "I take the {}, that is {}.", "{}: {}"};
  out += "\n" + fmt::format(fmt::runtime(Any(kAsk, scene)), Chance(0.5, scene.rng()) ? item : noun,
                            number);
  return out;
}

// A list that is repeated, reversed or sorted.
std::string Lists(Scene& scene) {
  const Field& field = scene.AnyField();
  std::vector<std::string> values;
  const int size = scene.Number(2, 6);
  for (int i = 0; i < size; ++i) values.push_back(scene.Value(field));
  std::vector<std::string> again = values;
  std::string_view what = "Again";
  switch (scene.rng().Below(5)) {
    case 0:
      what = "Backwards";
      std::reverse(again.begin(), again.end());
      break;
    case 1:
      what = "Sorted";
      std::sort(again.begin(), again.end());
      break;
    case 2:
      what = "The last one";
      again = {again.back()};
      break;
    case 3:
      what = "The first one";
      again = {again.front()};
      break;
    default: break;
  }
  static constexpr std::string_view kBetween[] = {", ", "; ", "\n", " / ", " and "};
  const std::string_view between = Any(kBetween, scene);
  return fmt::format("{}: {}\n{}: {}", field.words, Join(values, between), what,
                     Join(again, between));
}

// Letters and notes that say a value more than once.
std::string Echo(Scene& scene) {
  static constexpr std::string_view kEcho[] = {
      "Please write down: {0}. I repeat: {0}.",
      "He said {0}. \"{0}?\" she asked. \"Yes, {0}.\"",
      "Copy: {0}\nCopy: {0}\nCopy: {0}",
      "Input: {0}\nOutput: {0}",
      "Dear {1}, the number is {0}. Please keep {0} safe. {2}",
      "{1} typed {0} and the page showed {0}.",
      "Note for {1}: {0}. Tell {2} as well: {0}.",
      "\"{0}\" in quotes is \"{0}\".",
      "{{\"value\":\"{0}\"}} and once more {{\"value\":\"{0}\"}}"};
  std::string out;
  const int lines = scene.Number(1, 4);
  for (int i = 0; i < lines; ++i) {
    const std::string value = scene.Value(scene.AnyField());
    out += fmt::format(fmt::runtime(Any(kEcho, scene)), value, scene.First(), scene.First()) + "\n";
  }
  out.pop_back();
  return out;
}

// Something wrong is put right; what counts is the later value.
std::string Correction(Scene& scene) {
  const Field& field = scene.AnyField();
  const std::string wrong = scene.Value(field);
  const std::string right = scene.Value(field);
  static constexpr std::string_view kCorrection[] = {
      "The {0} of {1} was {2}. No, it is {3}. So {1} has the {0} {3}.",
      "{1} wrote {2} as {0}, but meant {3}. The right {0} is {3}.",
      "First the {0} said {2}; it was changed to {3}. The {0} is now {3}.",
      "Old {0}: {2}. New {0}: {3}. Please use {3} from now on, {1}."};
  return fmt::format(fmt::runtime(Any(kCorrection, scene)), field.words, scene.First(), wrong,
                     right);
}

// A short passage, an instruction, and its answer.
std::string Passage(Scene& scene) {
  const Slots slots = scene.Draw();
  const auto slot = [&slots](std::string_view name) { return slots.find(name)->second; };
  std::string out = fmt::format(
      "Passage: {} {} lives at {} in {}, {}. On the table stands the {}, which cost {} dollars. "
      "The "
      "box says {}. Letters go to {}.",
      slot("first"), slot("last"), slot("street"), slot("city"), slot("postcode"), slot("item"),
      slot("price"), slot("order_id"), slot("email"));
  static constexpr std::string_view kQuestions[][2] = {{"Where does {first} live?", "street"},
                                                       {"What is the postcode?", "postcode"},
                                                       {"What does the box say?", "order_id"},
                                                       {"What stands on the table?", "item"},
                                                       {"How much did the thing cost?", "price"},
                                                       {"Give the e-mail address.", "email"},
                                                       {"Which city is it?", "city"},
                                                       {"Write down the last name.", "last"}};
  const int count = scene.Number(1, 3);
  for (int i = 0; i < count; ++i) {
    const auto& [question, answer] = kQuestions[scene.rng().Below(std::size(kQuestions))];
    std::string asked(question);
    const std::size_t at = asked.find("{first}");
    if (at != std::string::npos) asked.replace(at, 7, slot("first"));
    out += fmt::format("\nInstruction: {}\nAnswer: {}", asked, slot(answer));
  }
  return out;
}

// "kettle - W48213 - 39.90" lines of an order list, and one of them again.
std::string OrderList(Scene& scene) {
  static constexpr std::string_view kBetween[] = {" - ", " | ", ", ", ": "};
  const std::string_view between = Any(kBetween, scene);
  std::vector<std::string> lines;
  const int size = scene.Number(3, 6);
  for (int i = 0; i < size; ++i) {
    lines.push_back(Join({scene.Item(), scene.OrderId(), scene.Price(), scene.First()}, between));
  }
  const std::string& chosen = PickOne(lines, scene.rng());
  const std::string start = chosen.substr(0, chosen.find(between));
  return fmt::format("Orders of the day\n{}\n\nThe line with the {}:\n{}", Join(lines, "\n"), start,
                     chosen);
}

}  // namespace

std::string Repeat(Scene& scene) {
  static constexpr std::string_view kBetween[] = {" ", ", ", "\n", " - "};
  static constexpr std::string_view kAfter[] = {"\n", "\n\n", ". ", " | ", "\nAgain: "};
  const std::string_view between = Any(kBetween, scene);
  std::vector<std::string> values;
  const int size = scene.Number(2, 12);
  for (int i = 0; i < size; ++i) values.push_back(scene.Value(scene.AnyField()));
  const std::vector<std::string> times(static_cast<std::size_t>(scene.Number(2, 4)),
                                       Join(values, between));
  return Join(times, Any(kAfter, scene));
}

std::string Exercise(Scene& scene) {
  switch (scene.rng().Below(16)) {
    case 0:
    case 1:
    case 2: return LookUp(scene);
    case 3:
    case 4:
    case 5:
    case 6:
    case 7: return ToJsonRecord(scene);
    case 8:
    case 9: return FromJsonRecord(scene);
    case 10: return Lists(scene);
    case 11: return Echo(scene);
    case 12: return Correction(scene);
    case 13: return Passage(scene);
    case 14: return Repeat(scene);
    default: return OrderList(scene);
  }
}

}  // namespace metier::retail
