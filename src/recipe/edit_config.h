// recipe/edit_config.h - how facts are written into a model's weights (train/knowledge_edit.h): the
// settings of `metier edit`, the same for its flags and for the plug-in.
#pragma once

#include <cstdint>
#include <string>

namespace metier::recipe {

struct EditConfig {
  std::string method = "rome";
  std::int64_t layer = -1;
  std::int64_t layers = 5;
  std::int64_t prefixes = 10;
  std::int64_t prefix_tokens = 10;
  std::int64_t steps = 25;
  double learning_rate = 0.2;
  double kl = 0.0625;
  double decay = 0.01;
  double clamp = 1;
  double until = 0.05;
  double covariance = 15000;
  double ridge = 0.001;
  std::int64_t texts_tokens = 65536;
  std::int64_t seed = 1;
  std::string device = "cpu";
  std::string dtype = "float32";
  std::int64_t threads = 0;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("method", method,
          "rome: fact by fact, each in one layer; memit: all at once, spread over several layers")
        .OneOf({"rome", "memit"});
    field("layer", layer,
          "where facts are written, from 0; of memit the last of its layers; -1: at a quarter of "
          "the model's depth. A fact's own \"layer\" goes first (rome)")
        .AtLeast(-1);
    field("layers", layers, "how many layers memit writes to").AtLeast(1);
    field("prefixes", prefixes,
          "pieces of the texts that each prompt is read behind, beside being read alone: what is "
          "written then holds in other company too")
        .AtLeast(0)
        .AtMost(1000);
    field("prefix_tokens", prefix_tokens, "length of such a piece").AtLeast(1).AtMost(1024);
    field("steps", steps, "of Adam for each fact's value, at most").AtLeast(1);
    field("learning_rate", learning_rate,
          "of these steps, in root mean squares of the hidden state that the value is added to")
        .Above(0);
    field("kl", kl, "weight of what the subject is (--essence) staying as it is, in the objective")
        .AtLeast(0);
    field("decay", decay, "weight of the squared length of the change, in the objective")
        .AtLeast(0);
    field("clamp", clamp,
          "longest change of a value, in lengths of the hidden state that it is added to")
        .Above(0);
    field("until", until, "stop a fact's steps at this objective").AtLeast(0);
    field(
        "covariance", covariance,
        "memit's lambda: how many of the texts' tokens a fact weighs as much as; small models need "
        "less (10 to 100) to take facts in")
        .Above(0);
    field(
        "ridge", ridge,
        "added to the diagonal of the texts' covariance, in shares of its mean: fewer tokens than "
        "the feed-forward is wide leave it singular")
        .Above(0);
    field("texts_tokens", texts_tokens, "read of the texts, at most").AtLeast(1);
    field("seed", seed, "of the choice of prefixes").AtLeast(0);
    field("device", device, "cpu, cuda or cuda:N");
    field("dtype", dtype, "of matrix products").OneOf({"float32", "bfloat16"});
    field("threads", threads, "CPU threads; 0: all cores").AtLeast(0).AtMost(1024);
  }
};

}  // namespace metier::recipe
