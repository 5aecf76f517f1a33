// What workers exchange, in threads of this process: the ring's sums, the buckets of gradients, who
// is named when one is gone. workers_run_test.cc trains with processes.
#include "train/workers.h"

#include <array>
#include <map>

#include "support/fixtures.h"
#include "train/agreement.h"
#include "train/gradient_buckets.h"
#include "unit/train/device.h"

namespace metier::train {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

std::uint16_t FreePort() { return Socket::Listen("127.0.0.1", 0).value().LocalPort(); }

// Calls `work` in one thread for each of `count` workers.
template <class Work>
void InWorkers(int count, Work&& work, std::chrono::milliseconds timeout = 20s) {
  const std::uint16_t port = FreePort();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] {
      WorkerPlace place;
      place.rank = rank;
      place.count = count;
      place.address = "127.0.0.1";
      place.port = port;
      auto workers = Workers::Open(place, timeout);
      ASSERT_OK(workers);
      work(**workers);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

class Place : public ::testing::Test {
 protected:
  Result<WorkerPlace> Read() const {
    return ReadWorkerPlace([this](const char* name) -> const char* {
      const auto found = variables_.find(name);
      return found == variables_.end() ? nullptr : found->second.c_str();
    });
  }
  std::map<std::string, std::string> variables_;
};

TEST_F(Place, WithoutVariablesIsOneProcess) {
  ASSERT_OK_AND_ASSIGN(const WorkerPlace place, Read());
  EXPECT_EQ(place.count, 1);
  EXPECT_EQ(place.rank, 0);
  variables_ = {{"RANK", "0"}, {"WORLD_SIZE", "1"}};
  ASSERT_OK_AND_ASSIGN(const WorkerPlace one, Read());
  EXPECT_EQ(one.count, 1);
  // A batch script of Slurm's that is not started by srun.
  variables_ = {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}};
  ASSERT_OK_AND_ASSIGN(const WorkerPlace script, Read());
  EXPECT_EQ(script.count, 1);
}

TEST_F(Place, IsWhatEachLauncherSays) {
  const std::map<std::string, std::string> launchers[] = {
      {{"RANK", "3"}, {"WORLD_SIZE", "4"}, {"LOCAL_RANK", "1"}, {"LOCAL_WORLD_SIZE", "2"}},
      {{"OMPI_COMM_WORLD_RANK", "3"},
       {"OMPI_COMM_WORLD_SIZE", "4"},
       {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}},
      {{"SLURM_PROCID", "3"},
       {"SLURM_NTASKS", "4"},
       {"SLURM_LOCALID", "1"},
       {"SLURM_STEP_ID", "0"}}};
  for (const auto& launcher : launchers) {
    variables_ = launcher;
    variables_["MASTER_ADDR"] = "node0";
    variables_["MASTER_PORT"] = "29500";
    ASSERT_OK_AND_ASSIGN(const WorkerPlace place, Read());
    EXPECT_EQ(place.rank, 3);
    EXPECT_EQ(place.count, 4);
    EXPECT_EQ(place.local_rank, 1);
    EXPECT_EQ(place.local_count, launcher.count("LOCAL_WORLD_SIZE") == 0 ? 1 : 2);
    EXPECT_EQ(place.address, "node0");
    EXPECT_EQ(place.port, 29500);
  }
  // torchrun's agent has the port itself.
  variables_["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  EXPECT_EQ(Read().value().port, 29501);
}

TEST_F(Place, ErrorsNameTheVariable) {
  variables_ = {{"RANK", "1"}};
  EXPECT_ERROR(Read(), ErrorCode::kInvalidArgument, "WORLD_SIZE: found none");
  variables_["WORLD_SIZE"] = "two";
  EXPECT_ERROR(Read(), ErrorCode::kInvalidArgument, "WORLD_SIZE: found 'two'");
  variables_["WORLD_SIZE"] = "1";
  EXPECT_ERROR(Read(), ErrorCode::kInvalidArgument, "RANK: found '1'");
  variables_["WORLD_SIZE"] = "2";
  EXPECT_ERROR(Read(), ErrorCode::kInvalidArgument, "MASTER_ADDR: found none");
  variables_["MASTER_ADDR"] = "localhost";
  EXPECT_ERROR(Read(), ErrorCode::kInvalidArgument, "MASTER_PORT: found none");
  variables_["MASTER_PORT"] = "70000";
  EXPECT_ERROR(Read(), ErrorCode::kInvalidArgument, "MASTER_PORT: found '70000'");
}

TEST(Parts, CoverAVector) {
  for (const std::int64_t size : {0, 1, 15, 16, 17, 100, 1000}) {
    for (const int count : {2, 3, 7}) {
      std::int64_t covered = 0;
      for (int rank = 0; rank < count; ++rank) {
        const VectorPart part = PartOf(size, rank, count);
        EXPECT_TRUE(part.count == 0 || part.first == covered);
        covered += part.count;
      }
      EXPECT_EQ(covered, size);
    }
  }
}

class Exchange : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Counts, Exchange, ::testing::Values(2, 3, 5));

TEST_P(Exchange, SumsTextsAndTensors) {
  const int count = GetParam();
  InWorkers(count, [count](Workers& workers) {
    const int rank = workers.rank();
    for (const std::int64_t size : {1, 16, 17, 1000, 300000}) {
      // Whole numbers: sums are exact.
      const at::Tensor base = at::arange(size, at::kFloat).remainder(1000);
      const at::Tensor expected = base * count + count * (count - 1) / 2;
      const at::Tensor values = base + rank;
      ASSERT_OK(workers.Sum(values));
      EXPECT_TRUE(at::equal(values, expected)) << size;

      const VectorPart own = PartOf(size, rank, count);
      const at::Tensor parts = base + rank;
      ASSERT_OK(workers.StartSumParts(parts).Wait());
      EXPECT_TRUE(at::equal(parts.narrow(0, own.first, own.count),
                            expected.narrow(0, own.first, own.count)));
      ASSERT_OK(workers.StartGatherParts(parts).Wait());
      EXPECT_TRUE(at::equal(parts, expected));

      const at::Tensor first = base.to(at::kDouble) + rank;
      ASSERT_OK(workers.Spread(first));
      EXPECT_TRUE(at::equal(first, base.to(at::kDouble)));
    }
    const std::string text(static_cast<std::size_t>(rank) * 100, static_cast<char>('a' + rank));
    ASSERT_OK_AND_ASSIGN(const auto texts, workers.Gather(text));
    for (int r = 0; r < count; ++r) {
      EXPECT_EQ(texts[static_cast<std::size_t>(r)],
                std::string(static_cast<std::size_t>(r) * 100, static_cast<char>('a' + r)));
    }
    ASSERT_OK_AND_ASSIGN(const std::string shared, workers.Spread(std::to_string(rank)));
    EXPECT_EQ(shared, "0");
    ASSERT_OK(workers.Leave());
  });
}

TEST(Agreement, NamesTheFirstDifference) {
  InWorkers(3, [](Workers& workers) {
    Json own = {{"program", "metier 1"}, {"config", {{"lora", {{"rank", 8}}}, {"seed", 1}}}};
    EXPECT_OK(AgreeOn(workers, own));
    if (workers.rank() == 2) own["config"]["lora"]["rank"] = 16;
    EXPECT_ERROR(AgreeOn(workers, own), ErrorCode::kInvalidArgument,
                 "worker 2 differs from worker 0 in config.lora.rank: 16, worker 0 has 8");
    EXPECT_OK(workers.Leave());
  });
}

TEST(Agreement, CountsTogether) {
  InWorkers(2, [](Workers& workers) {
    Tally tally;
    tally.rewards = {workers.rank() + 1, 3, 0.5};
    if (workers.first()) tally.expert_tokens = at::full({2, 3}, 4, at::kLong);
    ASSERT_OK(SumTally(workers, tally));
    EXPECT_EQ(tally.rewards.right, 3);
    EXPECT_EQ(tally.rewards.all, 6);
    EXPECT_EQ(tally.rewards.margin, 1.0);
    EXPECT_TRUE(at::equal(tally.expert_tokens, at::full({2, 3}, 4, at::kLong)));
    EXPECT_OK(workers.Leave());
  });
}

TEST(Gone, AWorkerThatFailsSaysWhyToAll) {
  InWorkers(3, [](Workers& workers) {
    if (workers.rank() == 1) {
      workers.Fail("its disk is full");
      return;
    }
    std::vector<double> one = {1};
    EXPECT_ERROR(workers.Sum(one), ErrorCode::kIo, "worker 1 of 3 ended: its disk is full");
  });
}

TEST(Gone, NobodyWaitsForAWorkerThatNeverComes) {
  WorkerPlace place;
  place.count = 2;
  place.address = "127.0.0.1";
  place.port = FreePort();
  EXPECT_ERROR(Workers::Open(place, 300ms), ErrorCode::kIo, "1 of 2 came to 127.0.0.1");
  place.rank = 1;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_ERROR(Workers::Open(place, 300ms), ErrorCode::kIo,
               "worker 1 of 2 cannot join worker 0 at 127.0.0.1");
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

TEST(Gone, TwoOfOneRankAreRefused) {
  const std::uint16_t port = FreePort();
  std::array<std::string, 3> said;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 3; ++i) {
    threads.emplace_back([&said, i, port] {
      WorkerPlace place;
      place.rank = i == 0 ? 0 : 1;
      place.count = 3;
      place.address = "127.0.0.1";
      place.port = port;
      const auto workers = Workers::Open(place, 2s);
      said[i] = workers.ok() ? "it came in" : workers.error().message();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(said[0], HasSubstr("two processes say that they are worker 1 of 3"));
  EXPECT_THAT(said[1] + said[2], HasSubstr("two processes say that they are worker 1 of 3"));
}

// y = sum over trainables of (their sum)^2 times the worker's number + 1: gradients known exactly.
class Buckets : public ::testing::TestWithParam<GradientBuckets::Sharing> {
 protected:
  static std::vector<Trainable> Leaves() {
    std::vector<Trainable> leaves;
    for (const std::int64_t size : {3, 40, 17, 1, 64}) {
      Trainable leaf;
      leaf.name = std::to_string(size);
      leaf.value = at::full({size}, 1.0 / static_cast<double>(size), TestDevice());
      leaf.value.set_requires_grad(true);
      leaf.act = at::zeros({size}, leaf.value.options().dtype(at::kBFloat16).requires_grad(false));
      leaves.push_back(leaf);
    }
    return leaves;
  }
};
INSTANTIATE_TEST_SUITE_P(Sharings, Buckets,
                         ::testing::Values(GradientBuckets::Sharing::kWhole,
                                           GradientBuckets::Sharing::kShares),
                         [](const auto& sharing) {
                           return sharing.param == GradientBuckets::Sharing::kWhole ? "Whole"
                                                                                    : "Shares";
                         });

TEST_P(Buckets, SumWhatAllAccumulatedAndShareWhatEachUpdated) {
  InWorkers(3, [](Workers& workers) {
    const std::vector<Trainable> leaves = Leaves();
    GradientBuckets buckets(leaves, workers, /*bucket_bytes=*/200, GetParam());
    const double own = workers.rank() + 1;
    for (int step = 0; step < 3; ++step) {
      buckets.Clear();
      for (int batch = 0; batch < 2; ++batch) {
        at::Tensor loss = at::zeros({}, TestDevice());
        // The one of 17 is reached by the first batch alone, the single element by none.
        for (const Trainable& leaf : leaves) {
          if (leaf.name == "1" || (leaf.name == "17" && batch > 0)) continue;
          loss = loss + leaf.value.sum() * own;
        }
        if (batch == 1) buckets.Arm();
        loss.backward();
      }
      ASSERT_OK(buckets.Reduce());
      std::vector<std::int64_t> covered(leaves.size());
      for (const OwnedPiece& piece : buckets.pieces()) {
        const Trainable& leaf = leaves[piece.trainable];
        const double expected = leaf.name == "1" ? 0 : leaf.name == "17" ? 6 : 12;
        const at::Tensor gradient = piece.Of(leaf.value.grad());
        EXPECT_TRUE(at::equal(gradient, at::full_like(gradient, expected))) << leaf.name;
        covered[piece.trainable] += piece.count;
        piece.Of(leaf.value).fill_(step + static_cast<double>(piece.trainable));
      }
      std::vector<double> all(covered.begin(), covered.end());
      ASSERT_OK(workers.Sum(all));
      for (std::size_t i = 0; i < leaves.size(); ++i) {
        const auto size = static_cast<double>(leaves[i].value.numel());
        EXPECT_EQ(all[i], buckets.shares() ? size : 3 * size) << leaves[i].name;
      }
      ASSERT_OK(buckets.ShareWeights());
      for (std::size_t i = 0; i < leaves.size(); ++i) {
        const at::Tensor value = leaves[i].value.detach();
        EXPECT_TRUE(at::equal(value, at::full_like(value, step + static_cast<double>(i))));
        if (buckets.shares()) {
          EXPECT_TRUE(at::equal(leaves[i].act.to(at::kFloat), value));
        }
      }
    }
    EXPECT_OK(workers.Leave());
  });
}

TEST_P(Buckets, CollectAndDistributeWhatEachKeeps) {
  InWorkers(2, [](Workers& workers) {
    const std::vector<Trainable> leaves = Leaves();
    GradientBuckets buckets(leaves, workers, /*bucket_bytes=*/200, GetParam());
    std::vector<at::Tensor> whole;
    std::vector<at::Tensor> back;
    for (const Trainable& leaf : leaves) {
      whole.push_back(at::arange(leaf.value.numel(), leaf.value.options().requires_grad(false)));
      back.push_back(at::zeros_like(whole.back()));
    }
    std::vector<at::Tensor> own;
    for (const OwnedPiece& piece : buckets.pieces())
      own.push_back(at::full({piece.count}, -1, whole.front().options()));
    ASSERT_OK(buckets.Distribute(workers.first() ? whole : std::vector<at::Tensor>(), own));
    for (std::size_t p = 0; p < own.size(); ++p)
      EXPECT_TRUE(at::equal(own[p], buckets.pieces()[p].Of(whole[buckets.pieces()[p].trainable])));
    ASSERT_OK(buckets.Collect(own, workers.first() ? back : std::vector<at::Tensor>()));
    for (std::size_t i = 0; i < whole.size() && workers.first(); ++i)
      EXPECT_TRUE(at::equal(back[i], whole[i]));
    EXPECT_OK(workers.Leave());
  });
}

}  // namespace
}  // namespace metier::train
