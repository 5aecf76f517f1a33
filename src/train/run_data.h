// train/run_data.h - what a run reads: its token files, how they are packed, and batches of them.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "recipe/train_config.h"
#include "train/batch.h"
#include "train/corpus.h"
#include "train/token_data.h"

namespace metier::train {

// Token files that are learned from or evaluated on, and whose domain each is.
struct Reading {
  std::string name;  // of an evaluation among several
  Corpus corpus;
  std::vector<std::int64_t> domains;  // of each source of it (Domains); -1: no one's
  PackingCounts counts;               // of a pass
  // Of each example, ln p of its answer under the reference, and of the answer to another prompt
  // behind its own: where the stage asks for them.
  std::vector<double> references;
  std::vector<double> mismatched;

  // What a loss is the mean over: pairs, or judged answers, or else predictions.
  std::int64_t Units(const recipe::TrainConfig& config) const;
};

// Names of what a source may belong to: experts of a router, or tasks, of the model or those that a
// hypernetwork learns.
struct Domains {
  std::vector<std::string> experts;
  std::vector<std::string> tasks;
  bool described = false;  // the tasks are a hypernetwork's
};

class RunData {
 public:
  // Opens and checks all files, those of the evaluation too: what is wrong with them is said now,
  // not after the training. Keeps the configuration by reference. Errors: Corpus::Open, CountPacks;
  // kInvalidArgument: an expert or a task that is not there, a source without a task where the
  // model has several or a hypernetwork learns them.
  static Result<RunData> Open(const recipe::TrainConfig& config, std::int64_t vocab,
                              const Domains& domains);

  const Reading& train() const { return train_; }
  Reading& train() { return train_; }
  // What must not be forgotten, where the run says so: its corpus and domains.
  const Reading& old() const { return old_; }
  // Of what the model should still be able to read afterwards; without examples: not asked for.
  const Reading& general() const { return general_; }
  std::vector<Reading>& evals() { return evals_; }
  const std::vector<Reading>& evals() const { return evals_; }
  // SHA-256; of several files (of a reconstruction, adapters) a list, in their order; null of none.
  const Json& train_hashes() const { return train_hashes_; }
  const Json& eval_hashes() const { return eval_hashes_; }
  const Json& old_hash() const { return old_hash_; }
  std::int64_t total_steps() const { return total_steps_; }
  // What steps go through where that is not texts, else 0: of a reconstruction
  // HyperTasks::Distance's, of stage grpo prompts.
  std::int64_t items() const { return items_; }

  // What the run is about to read, in a line for its user.
  std::string Summary() const;

  Batch MakeBatch(const Reading& reading, const std::vector<Pack>& packs, at::Device device) const;
  // The prompt of each piece's example with the answer to another, cut at max_seq_len.
  Batch MakeMismatched(const Reading& reading, const std::vector<Pack>& packs,
                       at::Device device) const;

 private:
  explicit RunData(const recipe::TrainConfig& config) : config_(config) {}
  std::string SourceTokens() const;

  const recipe::TrainConfig& config_;
  Reading train_;
  Reading old_;
  Reading general_;
  std::vector<Reading> evals_;
  Json train_hashes_;
  Json eval_hashes_;
  Json old_hash_;
  std::int64_t total_steps_ = 0;
  std::int64_t items_ = 0;
};

}  // namespace metier::train
