// recipe/adapter_config.h - what may learn beside a model that stays as it is, as users write it:
// parts of a training run (train_config.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace metier::recipe {

// What LoRA adapts and how (the names of PEFT's config).
struct LoraConfig {
  std::int64_t rank = 16;
  double alpha = 32;
  double dropout = 0;
  bool rslora = false;
  bool use_dora = false;
  double loraplus_lr_ratio = 1;
  std::vector<std::string> target_modules = {"all-linear"};
  std::vector<std::string> modules_to_save;
  std::vector<std::int64_t> trainable_token_indices;
  std::map<std::string, std::int64_t> rank_pattern;
  std::map<std::string, double> alpha_pattern;
  std::string adapter;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("rank", rank, "rows of A and columns of B").AtLeast(1).AtMost(4096);
    field("alpha", alpha, "the update is scaled by alpha / rank").Above(0);
    field("dropout", dropout, "share of the adapter's inputs set to zero in training")
        .AtLeast(0)
        .AtMost(0.99);
    field("rslora", rslora, "scale by alpha / sqrt(rank) instead");
    field("use_dora", use_dora,
          "the lengths of the weights' rows learn too, apart from their direction (DoRA)");
    field("loraplus_lr_ratio", loraplus_lr_ratio,
          "B learns so many times as fast as A (LoRA+); learning_rate is A's")
        .Above(0);
    field("target_modules", target_modules,
          "endings of module paths (q_proj, c_attn), or all-linear: every linear but the head; "
          "empty: none, beside trainable_token_indices");
    field("modules_to_save", modules_to_save,
          "endings of modules that learn as a whole and are saved with the adapter: the embedding "
          "(embed_tokens, wte), the head (lm_head); where the model ties them, either means both");
    field("trainable_token_indices", trainable_token_indices,
          "tokens whose rows of the embedding learn, and of the head where the model ties it; all "
          "other rows stay to the bit")
        .AtLeast(0);
    field("rank_pattern", rank_pattern, "another rank for modules whose path ends so");
    field("alpha_pattern", alpha_pattern, "another alpha for modules whose path ends so");
    field("adapter", adapter, "a PEFT directory to continue from, with this same configuration");
  }
};

// What the singular values of learn (SVF).
struct SvfConfig {
  std::vector<std::string> target_modules = {"all-linear"};
  std::string adapter;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("target_modules", target_modules,
          "endings of module paths (q_proj, c_attn), or all-linear: every linear but the head");
    field("adapter", adapter, "a directory of an earlier run to continue from");
  }
};

// Keys and values that every layer sees before the text (prefix tuning, Li and Liang 2021,
// arXiv 2101.00190; the names of PEFT).
struct PrefixConfig {
  std::int64_t num_virtual_tokens = 16;
  double init_std = 1;
  std::string adapter;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("num_virtual_tokens", num_virtual_tokens,
          "positions of the prefix; a sequence's own come behind them")
        .AtLeast(1)
        .AtMost(65536);
    field("init_std", init_std, "standard deviation of what they begin as").Above(0);
    field("adapter", adapter, "a PEFT directory to continue from, with this same configuration");
  }
};

// An adapter among those that a router chooses from.
struct RoutedExpert {
  std::string name;
  std::string adapter;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("name", name, "letters, digits, '.', '_' and '-'").Required();
    field("adapter", adapter, "PEFT directory, trained on the same model").Required();
  }
};

// Adapters that answer together, and the router that learns which of them a token or a sequence
// goes to (model/mixture.h).
struct RouterConfig {
  std::vector<RoutedExpert> experts;
  std::string mixture;
  std::string route_by = "token";
  std::string routers = "layer";
  std::int64_t top_k = 1;
  bool norm_topk_prob = false;
  double domain_loss = 1;
  bool train_experts = false;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("experts", experts, "the adapters; with `mixture`, those that it gets more");
    field("mixture", mixture, "a mixture's directory to continue: its experts come first");
    field("route_by", route_by,
          "token: each by its own scores; sequence: all of its tokens alike, by its prompt")
        .OneOf({"token", "sequence"});
    field("routers", routers,
          "layer: one a layer, on what attention reads; input: one for each input of linears")
        .OneOf({"layer", "input"});
    field("top_k", top_k, "experts of a token").AtLeast(1).AtMost(8);
    field("norm_topk_prob", norm_topk_prob,
          "by token: the weights of the chosen sum to 1; else they are softmax over all experts");
    field("domain_loss", domain_loss,
          "weight of the routers' cross-entropy against the experts that train_mixture names")
        .AtLeast(0);
    field(
        "train_experts", train_experts,
        "the adapters learn on (by sequence: each from its own source); else they stay to the bit");
  }
};

// A task that a hypernetwork learns to write an adapter for.
struct HyperTask {
  std::string name;
  std::vector<std::string> descriptions;
  std::vector<std::vector<std::int64_t>> description_ids;
  std::string file;
  std::string adapter;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("name", name, "what eval_files call it by").Required();
    field("descriptions", descriptions,
          "what the task is, in the words of one who asks for it; several ways to say it make "
          "unseen ones understood");
    field("description_ids", description_ids,
          "the token ids of each description; 'metier train' finds them with the model's tokenizer")
        .AtLeast(0)
        .AtMost(2147483647);
    field("file", file, "token file of its examples, in mode sft");
    field("adapter", adapter, "PEFT directory that was trained for it, in mode reconstruction");
  }
};

// A network that writes an adapter for a description (train/hypernetwork.h).
struct HyperConfig {
  std::vector<HyperTask> tasks;
  std::string mode = "sft";
  std::string hypernetwork;
  std::int64_t rank = 8;
  double alpha = 16;
  std::vector<std::string> target_modules = {"all-linear"};
  std::int64_t latent_size = 128;
  std::int64_t blocks = 2;
  double generated_l2 = 1e-3;
  std::string distance = "l1";

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("tasks", tasks, "the tasks to learn from").Required();
    field("mode", mode,
          "sft: by the model's loss on each task's file under the adapter written for it; "
          "reconstruction: by the distance to the task's own adapter")
        .OneOf({"sft", "reconstruction"});
    field("hypernetwork", hypernetwork,
          "directory of an earlier run to continue from, with this same shape");
    field("rank", rank, "of the adapters that it writes").AtLeast(1).AtMost(4096);
    field("alpha", alpha, "these are scaled by alpha / rank").Above(0);
    field("target_modules", target_modules,
          "endings of module paths (q_proj, c_attn) that they change, or all-linear: every linear "
          "but the head");
    field("latent_size", latent_size, "numbers that stand for a task in a module; a multiple of 4")
        .AtLeast(4)
        .AtMost(65536);
    field("blocks", blocks, "residual blocks between description and adapter")
        .AtLeast(0)
        .AtMost(64);
    field("generated_l2", generated_l2, "sft: weight of the mean square of what it writes")
        .AtLeast(0);
    field("distance", distance,
          "reconstruction: mean of the absolute (l1) or squared (l2) differences, each in standard "
          "deviations of its kind of module over the tasks")
        .OneOf({"l1", "l2"});
  }
};

}  // namespace metier::recipe
