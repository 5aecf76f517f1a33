#include "data/conversation.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/nearest.h"
#include "data/lines.h"
#include "data/normalize.h"

namespace metier::data {
namespace {

constexpr int kRowsToLookAt = 100;

struct FormRow {
  Form form;
  std::string_view name;
};
constexpr std::array<FormRow, 7> kForms = {{{Form::kMessages, "messages"},
                                            {Form::kSharegpt, "sharegpt"},
                                            {Form::kAlpaca, "alpaca"},
                                            {Form::kCompletion, "completion"},
                                            {Form::kText, "text"},
                                            {Form::kPreference, "preference"},
                                            {Form::kJudged, "judged"}}};

std::string FormNames() {
  std::string names;
  for (const FormRow& row : kForms) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

void CountJudgements(const Conversation& row, ReadReport& report) {
  if (row.is_pair()) ++report.pairs;
  if (row.judgement == format::Judgement::kGood) ++report.good;
  if (row.judgement == format::Judgement::kBad || row.is_pair()) ++report.bad;
}

}  // namespace

std::string_view FormName(Form form) {
  for (const FormRow& row : kForms)
    if (row.form == form) return row.name;
  return "unknown";
}

Result<Form> FormFromName(std::string_view name) {
  std::vector<std::string> names;
  for (const FormRow& row : kForms) {
    if (row.name == name) return row.form;
    names.emplace_back(row.name);
  }
  const std::string nearest = NearestName(name, names);
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("form of data '{}': expected one of {}{}", name, FormNames(),
                           nearest.empty() ? "" : "; did you mean '" + nearest + "'?"));
}

Result<FoundForm> FindForm(const std::string& path, const Limits& limits) {
  METIER_ASSIGN(LineReader lines, LineReader::Open(path, limits.max_string_bytes));
  std::array<int, kForms.size()> fits{};
  int rows = 0;
  std::string line;
  while (rows < kRowsToLookAt) {
    METIER_ASSIGN(const bool more, lines.Next(line));
    if (!more) break;
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    ++rows;
    const auto parsed = ParseJson(line, limits);
    if (!parsed.ok()) continue;
    for (std::size_t i = 0; i < kForms.size(); ++i)
      fits[i] += LooksLike(*parsed, kForms[i].form) ? 1 : 0;
  }
  if (rows == 0) return Error(ErrorCode::kDataCorrupt, fmt::format("'{}' has no rows", path));
  std::size_t best = 0;
  for (std::size_t i = 1; i < kForms.size(); ++i)
    if (fits[i] > fits[best]) best = i;
  std::string rivals;
  for (std::size_t i = 0; i < kForms.size(); ++i)
    if (i != best && fits[i] == fits[best]) rivals = kForms[i].name;
  if (2 * fits[best] < rows) {
    return Error(
        ErrorCode::kDataCorrupt,
        fmt::format("'{}': at most {} of the first {} rows have one form, expected half at "
                    "least; state the form ({})",
                    path, fits[best], rows, FormNames()));
  }
  if (!rivals.empty()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("'{}': the rows fit the forms {} and {} equally well; state which",
                             path, kForms[best].name, rivals));
  }
  return FoundForm{kForms[best].form, static_cast<double>(fits[best]) / rows};
}

Result<ReadReport> ReadConversations(const std::string& path, const ReadOptions& options,
                                     const ConversationVisitor& visit) {
  ReadReport report;
  if (options.form) {
    report.form = *options.form;
  } else {
    METIER_ASSIGN(const FoundForm found, FindForm(path, options.limits));
    report.form = found.form;
    report.confidence = found.confidence;
  }
  METIER_ASSIGN(LineReader lines, LineReader::Open(path, options.limits.max_string_bytes));
  std::string line;
  while (true) {
    METIER_ASSIGN(const bool more, lines.Next(line));
    if (!more) break;
    if (line.find_first_not_of(" \t") == std::string::npos) {
      ++report.blank_lines;
      continue;
    }
    ++report.rows;
    std::string reason;
    std::string detail;
    auto parsed = ParseJson(line, options.limits);
    if (!parsed.ok()) {
      reason = "not JSON";
      detail = ": " + parsed.error().message();
    } else if (auto row = Normalize(*parsed, report.form); !row.ok()) {
      reason = row.error().message();
    } else {
      row->line = lines.line_number();
      row->end = lines.offset();
      ++report.kept;
      CountJudgements(*row, report);
      METIER_TRY(visit(*std::move(row)));
      continue;
    }
    if (options.bad_rows == BadRows::kRefuse) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("'{}' line {}: {}{}", path, lines.line_number(), reason, detail));
    }
    ++report.rejected[reason];
    if (report.examples.size() < options.max_examples)
      report.examples.push_back({lines.line_number(), reason + detail});
  }
  if (report.kept == 0) {
    return Error(
        ErrorCode::kDataCorrupt,
        fmt::format("'{}': none of {} rows is of the form {}{}", path, report.rows,
                    FormName(report.form),
                    report.examples.empty() ? ""
                                            : fmt::format("; line {}: {}", report.examples[0].line,
                                                          report.examples[0].reason)));
  }
  return report;
}

std::string FormatReport(const ReadReport& report) {
  std::string text = fmt::format("{} rows of form {} (confidence {:.0f} %): {} kept, {} refused\n",
                                 report.rows, FormName(report.form), 100 * report.confidence,
                                 report.kept, report.rejected_rows());
  if (report.pairs > 0)
    text += fmt::format("  {} pairs of a good and a bad answer\n", report.pairs);
  if (report.good + report.bad > 2 * report.pairs) {
    text += fmt::format("  {} good answers, {} bad ones\n", report.good, report.bad);
  }
  for (const auto& [reason, count] : report.rejected)
    text += fmt::format("  {} x {}\n", count, reason);
  for (const Rejection& one : report.examples)
    text += fmt::format("  line {}: {}\n", one.line, one.reason);
  return text;
}

}  // namespace metier::data
