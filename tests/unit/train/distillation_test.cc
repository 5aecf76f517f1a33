// Learning from a teacher's distribution.
#include "train/distillation.h"

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "model/family.h"
#include "model/model_files.h"
#include "unit/train/gradients.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

at::Tensor Values(at::IntArrayRef shape, std::uint64_t seed) {
  const at::Tensor values = at::empty(shape, at::kDouble);
  Rng rng(seed);
  for (std::int64_t i = 0; i < values.numel(); ++i)
    values.data_ptr<double>()[i] = 2 * rng.Uniform() - 1;
  return values.to(TestDevice());
}

// Rows of a student of width 8 and of a teacher of width 5.
struct Rows {
  explicit Rows(std::int64_t rows, std::int64_t vocab)
      : hidden(Values({rows, 8}, 1).requires_grad_()),
        head_weight(Values({vocab, 8}, 2).requires_grad_()),
        teacher{Values({rows, 5}, 3), {at::Tensor(), Values({vocab, 5}, 4) * 2}},
        targets(at::arange(rows, at::TensorOptions().dtype(at::kLong).device(TestDevice()))
                    .mul(7)
                    .remainder(vocab)),
        weights(Values({rows}, 5).abs()) {
    weights[rows - 1] = 0;  // filling
  }
  at::Tensor Loss(const DistillTerms& terms) const {
    return DistilledHeadLoss(hidden, {head_weight, head_weight.detach()}, teacher, targets, weights,
                             terms);
  }
  at::Tensor hidden;
  at::Tensor head_weight;
  TeacherRows teacher;
  at::Tensor targets;
  at::Tensor weights;
};

// By the formula, from probabilities.
double ByFormula(const Rows& rows, const DistillTerms& terms) {
  const torch::NoGradGuard no_grad;
  const at::Tensor logits = at::mm(rows.hidden, rows.head_weight.t());
  const at::Tensor taught =
      at::softmax(at::mm(rows.teacher.hidden, rows.teacher.head.act.t()) / terms.temperature, -1);
  const at::Tensor flat = at::softmax(logits / terms.temperature, -1);
  const at::Tensor p = at::softmax(logits, -1);
  // Guesses, spread over the rows that count as the teacher's are.
  const at::Tensor counts = (rows.weights > 0).to(at::kDouble).unsqueeze(1);
  const at::Tensor guess = (p * (taught * counts).sum(0) / (p * counts).sum(0)).argmax(-1);
  double total = 0;
  for (std::int64_t r = 0; r < logits.size(0); ++r) {
    double loss =
        -terms.labels * std::log(p[r][rows.targets[r].item<std::int64_t>()].item<double>());
    loss -= terms.own * std::log(p[r][guess[r].item<std::int64_t>()].item<double>());
    double divergence = 0;
    for (std::int64_t v = 0; v < logits.size(1); ++v) {
      const double t = taught[r][v].item<double>();
      divergence += t * std::log(t / flat[r][v].item<double>());
    }
    loss += terms.teacher * terms.temperature * terms.temperature * divergence;
    total += loss * rows.weights[r].item<double>();
  }
  return total;
}

// A student that takes one class for nearly all rows learns from itself which rows are more of the
// other: the teacher has both as often.
TEST(DistilledHeadLoss, GuessesAreSpreadAsTheTeachersAre) {
  const auto options = at::TensorOptions().dtype(at::kDouble).device(TestDevice());
  const at::Tensor hidden = at::zeros({4, 2}, options);
  for (std::int64_t r = 0; r < 4; ++r) {
    hidden[r][0] = 1;                        // class 0, everywhere
    hidden[r][1] = r % 2 == 0 ? 0.2 : -0.2;  // and a little of what tells rows apart
  }
  hidden.requires_grad_();
  const at::Tensor head = at::zeros({2, 2}, options);
  head[0][0] = 3;
  head[1][1] = 1;
  const TeacherRows even = {at::zeros({4, 1}, options), {at::Tensor(), at::zeros({2, 1}, options)}};
  const at::Tensor targets = at::zeros({4}, options.dtype(at::kLong));
  const at::Tensor loss = DistilledHeadLoss(hidden, {at::Tensor(), head}, even, targets,
                                            at::ones({4}, options), {0, 0, 1, 1});
  loss.backward();
  // Rows 0 and 2 go towards class 1, the others towards class 0.
  for (std::int64_t r = 0; r < 4; ++r) {
    const double towards_one = -hidden.grad()[r][1].item<double>();
    EXPECT_EQ(towards_one > 0, r % 2 == 0) << r;
  }
}

TEST(DistilledHeadLoss, IsItsFormula) {
  const Rows rows(6, 11);
  for (const DistillTerms& terms : std::vector<DistillTerms>{
           {1, 0, 0, 1}, {0, 1, 0, 1}, {0.4, 0.6, 0, 3}, {0.2, 0.5, 0.3, 0.5}}) {
    EXPECT_NEAR(rows.Loss(terms).item<double>(), ByFormula(rows, terms), 1e-10);
  }
}

TEST(DistilledHeadLoss, OfLabelsAloneIsTheOrdinaryLoss) {
  const Rows rows(6, 11);
  const at::Tensor own = rows.Loss({});
  own.backward();
  const at::Tensor hidden_gradient = rows.hidden.grad().clone();
  const at::Tensor head_gradient = rows.head_weight.grad().clone();
  rows.hidden.mutable_grad().reset();
  rows.head_weight.mutable_grad().reset();
  const at::Tensor ordinary = HeadLoss(rows.hidden, {rows.head_weight, rows.head_weight.detach()},
                                       rows.targets, rows.weights, {at::kDouble, at::kDouble});
  ordinary.backward();
  EXPECT_NEAR(own.item<double>(), ordinary.item<double>(), 1e-12);
  EXPECT_LT((hidden_gradient - rows.hidden.grad()).abs().max().item<double>(), 1e-12);
  EXPECT_LT((head_gradient - rows.head_weight.grad()).abs().max().item<double>(), 1e-12);
}

TEST(DistilledHeadLoss, GradientsAreThoseOfTheFunction) {
  const Rows rows(6, 11);
  const DistillTerms terms = {0.2, 0.5, 0.3, 2};
  CheckGradients({{.name = "hidden", .value = rows.hidden, .act = {}},
                  {.name = "head", .value = rows.head_weight, .act = {}}},
                 [&] { return rows.Loss(terms); });
}

// So many words that only a few rows are at hand at once.
TEST(DistilledHeadLoss, PartsAreTheWhole) {
  const std::int64_t vocab = kHeadBytes / 32 / 4;
  const Rows rows(10, vocab);
  const DistillTerms terms = {0.5, 0.5, 0, 1};
  const at::Tensor whole = rows.Loss(terms);
  whole.backward();
  double sum = 0;
  const torch::NoGradGuard no_grad;
  for (std::int64_t r = 0; r < 10; ++r) {
    sum += DistilledHeadLoss(rows.hidden.narrow(0, r, 1), {{}, rows.head_weight.detach()},
                             {rows.teacher.hidden.narrow(0, r, 1), rows.teacher.head},
                             rows.targets.narrow(0, r, 1), rows.weights.narrow(0, r, 1), terms)
               .item<double>();
  }
  EXPECT_NEAR(whole.item<double>(), sum, 1e-9 * std::abs(sum));
  EXPECT_EQ(rows.hidden.grad()[9].abs().max().item<double>(), 0);  // the filling
  EXPECT_GT(rows.hidden.grad()[8].abs().max().item<double>(), 0);
}

TEST_F(Trainer, WithoutATeachersWeightADistillationIsPlainTraining) {
  Json config = TinyRun(folder_, "plain");
  ASSERT_OK_AND_ASSIGN(const Json plain, RunTraining(config));
  config["output_dir"] = folder_ / "nothing";
  config["distill"] = {{"teacher", Base()}, {"alpha", 0}};
  ASSERT_OK_AND_ASSIGN(const Json nothing, RunTraining(config));
  const auto weights = [](const Json& reply) {
    return HashOf(reply.at("output").get<std::string>() + "/model.safetensors");
  };
  EXPECT_EQ(weights(plain), weights(nothing));
  config["output_dir"] = folder_ / "something";
  config["distill"]["alpha"] = 0.5;
  ASSERT_OK_AND_ASSIGN(const Json something, RunTraining(config));
  EXPECT_NE(weights(plain), weights(something));
}

// A student that is taught comes nearer to its teacher than to the labels it never sees.
TEST_F(Trainer, AStudentComesNearItsTeacher) {
  Json config = TinyRun(folder_, "teacher");
  config["max_steps"] = 120;
  config["num_train_epochs"] = 1000;
  config["learning_rate"] = 1e-2;
  ASSERT_OK_AND_ASSIGN(const Json teacher, RunTraining(config));
  std::vector<std::vector<std::int32_t>> noise;  // texts whose next token nobody can foresee
  Rng rng(5);
  for (int e = 0; e < 40; ++e) {
    std::vector<std::int32_t> ids;
    for (int i = 0; i < 12; ++i) ids.push_back(static_cast<std::int32_t>(rng.Below(61)));
    noise.push_back(std::move(ids));
  }
  config["output_dir"] = folder_ / "student";
  config["eval_file"] = folder_ / "learnable.safetensors";
  WriteLearnable(folder_ / "learnable.safetensors", 30);
  WriteTokens(folder_ / "train.safetensors", noise, {});
  config["distill"] = {{"teacher", teacher.at("output")}, {"alpha", 1}};
  ASSERT_OK_AND_ASSIGN(const Json student, RunTraining(config));
  config.erase("distill");
  config["output_dir"] = folder_ / "untaught";
  ASSERT_OK_AND_ASSIGN(const Json untaught, RunTraining(config));
  // The rule of the teacher's texts, by its word alone.
  EXPECT_LT(student.at("eval_loss").get<double>(), 0.7 * untaught.at("eval_loss").get<double>());
}

TEST_F(Trainer, ResumesADistillationToTheBit) {
  Json config = TinyRun(folder_, "whole");
  config["distill"] = {
      {"teacher", Base()}, {"alpha", 0.5}, {"temperature", 2}, {"until", 0.6}, {"confidence", 0.3}};
  ASSERT_OK_AND_ASSIGN(const Json whole, RunTraining(config));
  config["output_dir"] = folder_ / "parts";
  ASSERT_OK(RunTraining(config, StopAt(5)));
  ASSERT_OK_AND_ASSIGN(const Json parts, RunTraining(config));
  EXPECT_EQ(HashOf(whole.at("output").get<std::string>() + "/model.safetensors"),
            HashOf(parts.at("output").get<std::string>() + "/model.safetensors"));
  // Another teacher is another run.
  config["max_steps"] = 14;
  config["distill"]["teacher"] = whole.at("output");
  EXPECT_ERROR(RunTraining(config), ErrorCode::kInvalidArgument, "another run");
}

TEST_F(Trainer, RefusesATeacherOfAnotherVocabulary) {
  Json teacher = TinyRun(folder_, "other");
  teacher["init"]["spec"]["vocab_size"] = 80;
  teacher["max_steps"] = 1;
  ASSERT_OK_AND_ASSIGN(const Json other, RunTraining(teacher));
  Json config = TinyRun(folder_, "run");
  config["distill"] = {{"teacher", other.at("output")}};
  EXPECT_ERROR(RunTraining(config), ErrorCode::kInvalidArgument,
               "found a decoder with a vocabulary of 80, expected a decoder with 64");
}

}  // namespace
}  // namespace metier::train
