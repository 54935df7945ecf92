#include "driver/coordinator/plan_folding.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

#include "common/config/settings.h"

namespace millrace::driver {
namespace {

// A fold with so few records is small for any executor, however small the job's batches are.
constexpr int64_t kSmallFoldRecords = 65'536;

bool LooksTheSameWhenEqual(const proto::Type& type) {
  switch (type.kind()) {
    case proto::TYPE_BOOL:
    case proto::TYPE_INT16:
    case proto::TYPE_INT32:
    case proto::TYPE_INT64:
    case proto::TYPE_TEXT:
    case proto::TYPE_BYTEA:
    case proto::TYPE_DATE:
    case proto::TYPE_TIMESTAMP:
    case proto::TYPE_TIMESTAMPTZ:
      return true;
    default:
      return false;
  }
}

bool ReadsBatchTime(const proto::Expr& expr) {
  const auto in = [](const auto& args) {
    return std::any_of(args.begin(), args.end(), ReadsBatchTime);
  };
  return expr.form().kind() == proto::Expr::SpecialForm::BATCH_TIME || in(expr.form().args()) ||
         in(expr.call().args());
}

bool IgnoresOrder(const proto::AggregateCall& call) {
  constexpr std::array<std::string_view, 6> kSums = {"count",    "sum",   "avg",
                                                     "bool_and", "every", "bool_or"};
  if (std::find(kSums.begin(), kSums.end(), call.function()) != kSums.end()) {
    return true;
  }
  return (call.function() == "min" || call.function() == "max") && call.args_size() == 1 &&
         LooksTheSameWhenEqual(call.args(0).type());
}

bool IgnoresBatches(const proto::Operator& op) {
  const auto reads_time = [](const auto& exprs) {
    return std::any_of(exprs.begin(), exprs.end(), ReadsBatchTime);
  };
  if (op.has_filter()) {
    return !ReadsBatchTime(op.filter().predicate());
  }
  if (op.has_project()) {
    return !reads_time(op.project().exprs());
  }
  if (op.has_table_function()) {
    return !reads_time(op.table_function().args());
  }
  if (op.has_partial_aggregate()) {
    const proto::PartialAggregate& partial = op.partial_aggregate();
    return !reads_time(partial.keys()) &&
           std::none_of(partial.aggregates().begin(), partial.aggregates().end(),
                        [&](const proto::AggregateCall& call) {
                          return reads_time(call.args()) || ReadsBatchTime(call.filter());
                        });
  }
  if (op.has_final_aggregate()) {
    const proto::FinalAggregate& final = op.final_aggregate();
    return !final.per_batch() &&
           std::all_of(final.keys().begin(), final.keys().end(),
                       [](const proto::Field& key) { return LooksTheSameWhenEqual(key.type()); }) &&
           std::all_of(final.aggregates().begin(), final.aggregates().end(), IgnoresOrder);
  }
  return true;
}

int64_t RecordsOf(const PlannedBatch& committed) {
  int64_t records = 0;
  for (const SplitDigest& digest : committed.committed) {
    records += digest.records;
  }
  return records;
}

// Ranges of one partition follow each other.
PlannedBatch Fold(PlannedBatch first, const PlannedBatch& second) {
  std::map<uint32_t, PlannedSplit> splits;
  std::map<uint32_t, SplitDigest> digests;
  for (const PlannedBatch* batch : {&std::as_const(first), &second}) {
    for (const PlannedSplit& split : batch->splits) {
      splits.try_emplace(split.ordinal, split).first->second.end = split.end;
    }
    for (const SplitDigest& digest : batch->committed) {
      const auto [found, is_new] = digests.try_emplace(digest.ordinal, digest);
      if (!is_new) {
        found->second.records += digest.records;
        found->second.input_hash
            .reset();  // the hash of the whole does not follow from those of its parts
      }
    }
  }
  PlannedBatch folded{.batch = second.batch, .batch_time_us = second.batch_time_us};
  folded.stands_for = first.stands_for + second.stands_for;
  for (const auto& [ordinal, split] : splits) {
    folded.splits.push_back(split);
  }
  for (const auto& [ordinal, digest] : digests) {
    folded.committed.push_back(digest);
  }
  return folded;
}

}  // namespace

bool StateIgnoresBatches(const proto::JobPlan& plan) {
  const absl::StatusOr<JobSettings> settings =
      JobSettings::FromMap({plan.settings().begin(), plan.settings().end()});
  if (!settings.ok() || settings->state_ttl > absl::ZeroDuration()) {
    return false;
  }
  const bool ordered =
      std::any_of(plan.exchanges().begin(), plan.exchanges().end(),
                  [](const proto::Exchange& exchange) { return exchange.ordered(); });
  return !ordered &&
         std::all_of(plan.stages().begin(), plan.stages().end(), [](const proto::Stage& stage) {
           return std::all_of(stage.operators().begin(), stage.operators().end(), IgnoresBatches);
         });
}

void FoldPlans(std::deque<PlannedBatch>* plans, size_t committed, size_t most) {
  int64_t batches = 0;
  int64_t largest = 0;  // records of the largest single batch; of folded ones, their mean counts
  for (size_t i = 0; i < committed; ++i) {
    batches += (*plans)[i].stands_for;
    largest = std::max(largest, RecordsOf((*plans)[i]) / (*plans)[i].stands_for);
  }
  const int64_t most_records = std::max(kMaxFold * largest, kSmallFoldRecords);
  // Any two neighbours that are left then stand for more batches than this, so at most about half
  // of `most` are left, unless they have too many records.
  const int64_t least = 4 * batches / static_cast<int64_t>(most) + 1;
  std::deque<PlannedBatch> folded;
  for (size_t i = 0; i < plans->size(); ++i) {
    PlannedBatch& next = (*plans)[i];
    const bool fits = !folded.empty() && i < committed &&
                      folded.back().stands_for + next.stands_for <= least &&
                      RecordsOf(folded.back()) + RecordsOf(next) <= most_records;
    if (fits) {
      folded.back() = Fold(std::move(folded.back()), next);
    } else {
      folded.push_back(std::move(next));
    }
  }
  plans->swap(folded);
}

}  // namespace millrace::driver
