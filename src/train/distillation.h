// train/distillation.h - learning from another model's distribution of the next token, beside the
// labels or in their place.
//
//   labels * CE(y) + teacher * T^2 KL(p_teacher^T || p^T) + own * CE(argmax_c p_c m'_c / m_c)
//
// p^T are probabilities of logits divided by the temperature T (Hinton et al. 2015, arXiv
// 1503.02531, section 2). `own` is the confidence of weak-to-strong training (Burns et al. 2023,
// arXiv 2312.09390, equation 1), token by token: the model's guess, where m and m' are the means of
// p and p_teacher^T over the rows that count. So guesses are spread as the teacher's are, as the
// paper's thresholds have it for two classes: a model that does not know yet would take one class
// for all, and learn from itself that it was right. Rows are those of one batch of one worker, so
// with `own` the loss depends on how examples are put into batches.
#pragma once

#include "train/ops.h"
#include "train/torch.h"

namespace metier::train {

struct DistillTerms {
  double labels = 1;
  double teacher = 0;
  double own = 0;
  double temperature = 1;
};

// The rows of the teacher: its last hidden states and its head. No gradients reach them.
struct TeacherRows {
  at::Tensor hidden;  // act [rows, its width]
  Weight head;        // [vocab, its width]
};

// Sum over rows of weight * the terms, a real scalar; shapes as of HeadLoss, whose loss and
// gradient this is of labels alone. Logits of both exist for a part of the rows only.
at::Tensor DistilledHeadLoss(const at::Tensor& hidden, const Weight& head,
                             const TeacherRows& teacher, const at::Tensor& targets,
                             const at::Tensor& weights, const DistillTerms& terms);

}  // namespace metier::train
