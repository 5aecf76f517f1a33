// Whatever JSON a model sends as arguments, a tool answers; an error changes nothing.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/rng.h"
#include "tiny_worlds.h"
#include "worlds/episode.h"

namespace metier::worlds {
namespace {

// Words that mean something to the small worlds, so that calls get beyond the first check.
const std::vector<std::string>& Words() {
  static const std::vector<std::string> words = {"",
                                                 "ada",
                                                 "eve",
                                                 "#P1",
                                                 "#P2",
                                                 "#D1",
                                                 "i-black",
                                                 "i-blue",
                                                 "p-a4",
                                                 "p-a5",
                                                 "card_1",
                                                 "gift_1",
                                                 "pal_1",
                                                 "cert_1",
                                                 "P-ink",
                                                 "R1",
                                                 "HATHAT",
                                                 "F1",
                                                 "F2",
                                                 "F3",
                                                 "2024-05-31",
                                                 "economy",
                                                 "basic_economy",
                                                 "business",
                                                 "yes",
                                                 "no",
                                                 "one_way",
                                                 "AAA",
                                                 "BBB",
                                                 "CCC",
                                                 "10001",
                                                 "\xff\xfe",
                                                 "1 - (2",
                                                 "ordered by mistake"};
  return words;
}

Json RandomValue(Rng& rng, int depth) {
  switch (rng.Below(depth > 0 ? 10 : 8)) {
    case 0: return nullptr;
    case 1: return rng.Below(2) == 0;
    case 2: return static_cast<std::int64_t>(rng.Below(5));
    case 3: return rng.Below(2) == 0 ? Json(INT64_MIN) : Json(UINT64_MAX);
    case 4: return rng.Below(2) == 0 ? 1.7e308 : -0.25;
    case 8: {
      Json items = Json::array();
      for (std::uint64_t n = rng.Below(4); n > 0; --n) items.push_back(RandomValue(rng, depth - 1));
      return items;
    }
    case 9: {
      Json object = Json::object();
      for (std::uint64_t n = rng.Below(4); n > 0; --n)
        object[Words()[rng.Below(Words().size())]] = RandomValue(rng, depth - 1);
      return object;
    }
    default: return Words()[rng.Below(Words().size())];
  }
}

// A value of the shape, with a mistake in one place of twenty.
Json RandomOfShape(Rng& rng, const Json& shape) {
  if (rng.Below(20) == 0) return RandomValue(rng, 3);
  switch (shape.type()) {
    case Json::value_t::string: {
      const auto& choices = shape.get_ref<const std::string&>();
      if (choices.empty()) return Words()[rng.Below(Words().size())];
      const std::size_t bar = choices.rfind('|');
      return rng.Below(2) == 0 ? choices.substr(bar + 1) : choices.substr(0, choices.find('|'));
    }
    case Json::value_t::array: {
      Json items = Json::array();
      for (std::uint64_t n = rng.Below(4); n > 0; --n)
        items.push_back(RandomOfShape(rng, shape[0]));
      return items;
    }
    case Json::value_t::object: {
      Json object = Json::object();
      for (const auto& [name, field] : shape.items()) {
        if (rng.Below(40) == 0) continue;
        object[name.ends_with('?') ? name.substr(0, name.size() - 1) : name] =
            RandomOfShape(rng, field);
      }
      return object;
    }
    case Json::value_t::number_float:
      return rng.Below(4) == 0 ? Json(1.7e308) : Json(rng.Below(200));
    default: return rng.Below(8) == 0 ? Json(INT64_MAX) : Json(rng.Below(4));
  }
}

class AnyArguments : public testing::TestWithParam<Domain> {};

TEST_P(AnyArguments, AreAnswered) {
  ASSERT_OK_AND_ASSIGN(const World world,
                       GetParam() == Domain::kRetail ? TinyRetail() : TinyAirline());
  Rng rng(11);
  int errors = 0;
  int answers = 0;
  for (int conversation = 0; conversation < 60; ++conversation) {
    Episode episode(world);
    Episode again(world);
    for (const std::string& name : world.ToolNames()) {
      if (name == "transfer_to_human_agents") continue;
      for (int i = 0; i < 6; ++i) {
        const Json arguments =
            i == 0 ? RandomValue(rng, 3) : RandomOfShape(rng, world.FindTool(name)->shape);
        const Records before = episode.records();
        const std::string observation = episode.Call(name, arguments);
        EXPECT_EQ(again.Call(name, arguments), observation);
        ++(IsError(observation) ? errors : answers);
        if (IsError(observation)) {
          EXPECT_EQ(episode.records(), before) << name << DumpPython(arguments) << observation;
        }
      }
    }
    EXPECT_EQ(episode.records(), again.records());
    episode.UserLeaves();
  }
  // Both happen often: the random arguments reach what the tools do.
  EXPECT_GT(errors, 1000);
  EXPECT_GT(answers, 500);
}

INSTANTIATE_TEST_SUITE_P(Worlds, AnyArguments, testing::Values(Domain::kRetail, Domain::kAirline));

}  // namespace
}  // namespace metier::worlds
