#include "tests/contract/source_contract.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "absl/strings/match.h"
#include "common/base/steady_time.h"

namespace millrace {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(30);

absl::Time Soon() { return SteadyNow() + kTimeout; }

}  // namespace

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SourceContract);

void SourceContract::SetUp() {
  table_ = GetParam().make();
  connector_ = *Connectors().Source(table_->source().connector());
  context_.job_name = "contract";
  context_.incarnation = "0f0e0d0c-0000-4000-8000-000000000000";
  context_.prefetch_bytes = 8 << 20;
  ASSERT_OK(connector_->Validate(table_->source()));
  auto enumerator = connector_->CreateEnumerator(table_->source(), context_);
  ASSERT_OK(enumerator);
  enumerator_ = *std::move(enumerator);
  auto partitions = enumerator_->Discover(kTimeout);
  ASSERT_OK(partitions);
  partitions_ = *partitions;
  std::sort(partitions_.begin(), partitions_.end());
  ASSERT_EQ(partitions_.size(), 2u);
  auto starts = enumerator_->ResolveStart(partitions_, kTimeout);
  ASSERT_OK(starts);
  for (size_t i = 0; i < partitions_.size(); ++i) {
    EXPECT_EQ((*starts)[i].partition, partitions_[i]);
    begins_.push_back((*starts)[i].offset.value());
  }
  RefreshEnds();
}

std::unique_ptr<SourceReader> SourceContract::NewReader(const proto::Source& source) {
  auto reader = connector_->CreateReader(source, context_);
  EXPECT_OK(reader);
  for (size_t i = 0; i < partitions_.size(); ++i) {
    EXPECT_OK((*reader)->Assign({partitions_[i], Offset(begins_[i])}));
  }
  return *std::move(reader);
}

void SourceContract::RefreshEnds() {
  auto ends = enumerator_->Ends(partitions_, kTimeout);
  ASSERT_OK(ends);
  ends_.clear();
  for (size_t i = 0; i < partitions_.size(); ++i) {
    EXPECT_EQ((*ends)[i].partition, partitions_[i]);
    EXPECT_LE((*ends)[i].stable_end, (*ends)[i].end);
    EXPECT_LE(begins_[i], (*ends)[i].stable_end.value());
    ends_.push_back((*ends)[i].stable_end.value());
  }
}

void SourceContract::ReadTo(SourceReader* reader, size_t partition, int64_t end, size_t max_rows,
                            Result* result) {
  while (result->position < end) {
    auto chunk = reader->Read(partitions_[partition], Offset(end), max_rows, result->hash, Soon());
    ASSERT_OK(chunk);
    ASSERT_TRUE(chunk->errors.empty()) << chunk->errors[0].status;
    ASSERT_LE(chunk->offsets.size(), max_rows);
    ASSERT_EQ(chunk->batch.physical_rows(), chunk->offsets.size());
    // Progress, or the loop of an executor would never end.
    ASSERT_GT(chunk->next.value(), result->position);
    ASSERT_LE(chunk->next.value(), end);
    for (int64_t offset : chunk->offsets) {
      ASSERT_GE(offset, result->offsets.empty() ? begins_[partition] : result->offsets.back() + 1);
      ASSERT_GE(offset, result->position);
      ASSERT_LT(offset, chunk->next.value());
      result->offsets.push_back(offset);
    }
    std::vector<std::string> texts = Texts(chunk->batch);
    EXPECT_EQ(chunk->lost_begin, chunk->lost_end);
    for (uint32_t row = 0; chunk->raw != nullptr && row < texts.size(); ++row) {
      // What it was decoded from, whatever the format: the text is in it.
      const RawRecord raw = chunk->raw(row);
      ASSERT_TRUE(raw.value.has_value());
      EXPECT_NE(raw.value->find(texts[row]), std::string_view::npos) << *raw.value;
    }
    result->values.insert(result->values.end(), texts.begin(), texts.end());
    result->position = chunk->next.value();
    result->nexts.push_back(result->position);
    result->hash = chunk->input_hash;
  }
}

SourceContract::Result SourceContract::ReadAll(size_t partition, size_t max_rows) {
  std::unique_ptr<SourceReader> reader = NewReader();
  Result result{.position = begins_[partition]};
  ReadTo(reader.get(), partition, ends_[partition], max_rows, &result);
  return result;
}

TEST_P(SourceContract, ReadsEveryRecordInOrder) {
  for (size_t i = 0; i < partitions_.size(); ++i) {
    Result result = ReadAll(i, 1000);
    EXPECT_EQ(result.values, table_->Expected(i));
    EXPECT_EQ(result.position, ends_[i]);
    EXPECT_FALSE(result.values.empty());
  }
}

TEST_P(SourceContract, ChunkSizeDoesNotMatter) {
  Result whole = ReadAll(0, 100000);
  for (size_t max_rows : {1, 3, 64}) {
    Result cut = ReadAll(0, max_rows);
    EXPECT_EQ(cut.values, whole.values) << max_rows;
    EXPECT_EQ(cut.offsets, whole.offsets) << max_rows;
    EXPECT_EQ(cut.hash, whole.hash) << max_rows;
  }
}

TEST_P(SourceContract, WhereSplitsAreCutDoesNotMatter) {
  Result whole = ReadAll(0, 100000);
  std::unique_ptr<SourceReader> reader = NewReader();
  Result split{.position = begins_[0]};
  // A record beyond the split is kept for the next one; one that begins where the split ends is
  // beyond.
  std::vector<int64_t> cuts = {whole.offsets[1], whole.offsets[whole.offsets.size() / 2],
                               whole.offsets.back(), ends_[0]};
  for (size_t i = 1; i < whole.offsets.size() && cuts.size() < 12; ++i) {
    if (whole.offsets[i] > whole.offsets[i - 1] + 1) {
      cuts.push_back(whole.offsets[i]);  // behind a gap
    }
  }
  std::sort(cuts.begin(), cuts.end());
  for (int64_t cut : cuts) {
    ReadTo(reader.get(), 0, cut, 7, &split);
    EXPECT_EQ(split.position, cut);
  }
  EXPECT_EQ(split.values, whole.values);
  EXPECT_EQ(split.hash, whole.hash);
}

TEST_P(SourceContract, AnyOffsetMayEndASplit) {
  // The driver cuts by rate, not by record; each split may be read by another executor.
  Result whole = ReadAll(0, 100000);
  Result split{.position = begins_[0]};
  int64_t step = std::max<int64_t>(1, (ends_[0] - begins_[0]) / 13);
  while (split.position < ends_[0]) {
    std::unique_ptr<SourceReader> reader = NewReader();
    ASSERT_OK(reader->Assign({partitions_[0], Offset(split.position)}));
    int64_t before = split.position;
    ReadTo(reader.get(), 0, std::min(ends_[0], before + step), 5, &split);
    ASSERT_GT(split.position, before);
  }
  EXPECT_EQ(split.values, whole.values);
  EXPECT_EQ(split.offsets, whole.offsets);
  EXPECT_EQ(split.hash, whole.hash);
}

TEST_P(SourceContract, TheHashTellsRecordsApart) {
  Result first = ReadAll(0, 100);
  Result second = ReadAll(1, 100);
  EXPECT_NE(first.hash, 0u);
  EXPECT_NE(first.hash, second.hash);
  // A seed goes into it.
  std::unique_ptr<SourceReader> reader = NewReader();
  Result seeded{.hash = 1, .position = begins_[0]};
  ReadTo(reader.get(), 0, ends_[0], 100, &seeded);
  EXPECT_NE(seeded.hash, first.hash);
}

TEST_P(SourceContract, ResumesFromEveryPosition) {
  Result whole = ReadAll(0, 5);
  for (size_t i = 0; i < whole.nexts.size(); i += 1 + whole.nexts.size() / 5) {
    std::unique_ptr<SourceReader> reader = NewReader();
    ASSERT_OK(reader->Assign({partitions_[0], Offset(whole.nexts[i])}));
    Result rest{.position = whole.nexts[i]};
    ReadTo(reader.get(), 0, ends_[0], 1000, &rest);
    size_t seen = static_cast<size_t>(
        std::lower_bound(whole.offsets.begin(), whole.offsets.end(), whole.nexts[i]) -
        whole.offsets.begin());
    EXPECT_EQ(rest.values, std::vector<std::string>(whole.values.begin() + static_cast<long>(seen),
                                                    whole.values.end()));
  }
}

TEST_P(SourceContract, CanBeAssignedAgainFurtherBack) {
  std::unique_ptr<SourceReader> reader = NewReader();
  for (int round = 0; round < 3; ++round) {
    ASSERT_OK(reader->Assign({partitions_[0], Offset(begins_[0])}));
    Result result{.position = begins_[0]};
    ReadTo(reader.get(), 0, ends_[0], 1000, &result);
    EXPECT_EQ(result.values, table_->Expected(0)) << round;
    reader->Unassign(partitions_[0]);
  }
}

TEST_P(SourceContract, AnEmptyRangeIsReadAtOnce) {
  std::unique_ptr<SourceReader> reader = NewReader();
  auto chunk = reader->Read(partitions_[0], Offset(begins_[0]), 10, 42, Soon());
  ASSERT_OK(chunk);
  EXPECT_TRUE(chunk->offsets.empty());
  EXPECT_EQ(chunk->next.value(), begins_[0]);
  EXPECT_EQ(chunk->input_hash, 42u);
}

TEST_P(SourceContract, PartitionsAreReadInParallel) {
  std::unique_ptr<SourceReader> reader = NewReader();
  std::vector<Result> results(2);
  std::vector<std::thread> threads;
  threads.reserve(2);
  for (size_t i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      results[i].position = begins_[i];
      ReadTo(reader.get(), i, ends_[i], 3, &results[i]);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(results[0].values, table_->Expected(0));
  EXPECT_EQ(results[1].values, table_->Expected(1));
}

TEST_P(SourceContract, FetchedToNeverGoesBackAndReachesTheEnd) {
  std::unique_ptr<SourceReader> reader = NewReader();
  auto fetched = [&](size_t partition) {
    for (const PartitionOffset& one : reader->FetchedTo()) {
      if (one.partition == partitions_[partition]) {
        return one.offset.value();
      }
    }
    return int64_t{-1};
  };
  int64_t last = fetched(0);
  EXPECT_GE(last, begins_[0]);
  Result result{.position = begins_[0]};
  while (result.position < ends_[0]) {
    int64_t before = result.position;
    ReadTo(reader.get(), 0, std::min(ends_[0], before + 50), 10, &result);
    ASSERT_GT(result.position, before);
    int64_t now = fetched(0);
    EXPECT_GE(now, last);
    EXPECT_GE(now, result.position);
    last = now;
  }
  EXPECT_GE(fetched(0), ends_[0]);
}

TEST_P(SourceContract, PrefetchesWithoutBeingRead) {
  if (!table_->prefetches()) {
    return;  // it reads on demand
  }
  std::mutex mutex;
  std::condition_variable woken;
  bool progressed = false;
  context_.on_progress = [&] {
    std::lock_guard<std::mutex> lock(mutex);
    progressed = true;
    woken.notify_one();
  };
  std::unique_ptr<SourceReader> reader = NewReader();
  auto at_end = [&] {
    std::vector<PartitionOffset> fetched = reader->FetchedTo();
    return std::all_of(fetched.begin(), fetched.end(), [&](const PartitionOffset& one) {
      return one.offset.value() >= ends_[one.partition == partitions_[0] ? 0 : 1];
    });
  };
  absl::Time deadline = Soon();
  while (!at_end()) {
    std::unique_lock<std::mutex> lock(mutex);
    ASSERT_TRUE(woken.wait_for(lock, absl::ToChronoNanoseconds(deadline - SteadyNow()), [&] {
      return progressed;
    })) << "no progress was reported";
    progressed = false;
  }
  Result result{.position = begins_[0]};
  ReadTo(reader.get(), 0, ends_[0], 1000, &result);
  EXPECT_EQ(result.values, table_->Expected(0));
}

TEST_P(SourceContract, ReportsWhatIsAppended) {
  if (!table_->can_append()) {
    return;  // it is complete
  }
  std::unique_ptr<SourceReader> reader = NewReader();
  Result result{.position = begins_[0]};
  ReadTo(reader.get(), 0, ends_[0], 1000, &result);
  int64_t old_end = ends_[0];
  table_->Append(0, {"added later", "and another one that is longer"});
  RefreshEnds();
  EXPECT_GT(ends_[0], old_end);
  ReadTo(reader.get(), 0, ends_[0], 1000, &result);
  EXPECT_EQ(result.values, table_->Expected(0));
}

TEST_P(SourceContract, WaitsNoLongerThanTheDeadline) {
  if (!table_->can_append() || !table_->prefetches()) {
    return;  // reading beyond the end is an error there, not a wait
  }
  std::unique_ptr<SourceReader> reader = NewReader();
  Result result{.position = begins_[0]};
  ReadTo(reader.get(), 0, ends_[0], 1000, &result);
  absl::Time begin = SteadyNow();
  auto chunk =
      reader->Read(partitions_[0], Offset(ends_[0] + 5), 10, 0, begin + absl::Milliseconds(50));
  EXPECT_EQ(chunk.status().code(), absl::StatusCode::kDeadlineExceeded) << chunk.status();
  EXPECT_GE(SteadyNow() - begin, absl::Milliseconds(50));
  // It lost nothing by it.
  table_->Append(0, {"after the wait"});
  RefreshEnds();
  ReadTo(reader.get(), 0, ends_[0], 1000, &result);
  EXPECT_EQ(result.values, table_->Expected(0));
}

TEST_P(SourceContract, AnUnassignedPartitionIsRefused) {
  std::unique_ptr<SourceReader> reader = NewReader();
  reader->Unassign(partitions_[1]);
  auto chunk = reader->Read(partitions_[1], Offset(ends_[1]), 10, 0, Soon());
  EXPECT_EQ(chunk.status().code(), absl::StatusCode::kFailedPrecondition) << chunk.status();
  EXPECT_TRUE(absl::StrContains(chunk.status().message(), partitions_[1]));
  std::vector<PartitionOffset> fetched = reader->FetchedTo();
  ASSERT_EQ(fetched.size(), 1u);
  EXPECT_EQ(fetched[0].partition, partitions_[0]);
}

TEST_P(SourceContract, MetadataColumnsAreMadeWhenAskedFor) {
  proto::Source source = table_->source();
  source.clear_columns();
  for (const auto& [name, type] : connector_->MetadataColumns()) {
    proto::SourceColumn* column = source.add_columns();
    column->set_name(name);
    TypeToProto(type, column->mutable_type());
    column->set_declared(-1);
  }
  ASSERT_OK(connector_->Validate(source));
  std::unique_ptr<SourceReader> reader = NewReader(source);
  int64_t position = begins_[0];
  while (position < ends_[0]) {
    auto chunk = reader->Read(partitions_[0], Offset(ends_[0]), 100, 0, Soon());
    ASSERT_OK(chunk);
    ASSERT_EQ(chunk->batch.column_count(), static_cast<size_t>(source.columns_size()));
    for (int i = 0; i < source.columns_size(); ++i) {
      const Column& column = *chunk->batch.column(static_cast<size_t>(i));
      EXPECT_TRUE(column.type() == TypeFromProto(source.columns(i).type()));
      ASSERT_EQ(column.size(), chunk->offsets.size());
      for (size_t row = 0; source.columns(i).name() == "_offset" && row < column.size(); ++row) {
        ASSERT_EQ(column.value<int64_t>(row), chunk->offsets[row]);
      }
    }
    position = chunk->next.value();
  }
}

TEST_P(SourceContract, ReadsWithoutAnyColumn) {
  proto::Source source = table_->source();
  source.clear_columns();
  std::unique_ptr<SourceReader> reader = NewReader(source);
  auto chunk = reader->Read(partitions_[0], Offset(ends_[0]), 100, 0, Soon());
  ASSERT_OK(chunk);
  EXPECT_EQ(chunk->batch.column_count(), 0u);
  EXPECT_EQ(chunk->batch.physical_rows(), chunk->offsets.size());
  EXPECT_FALSE(chunk->offsets.empty());
}

TEST_P(SourceContract, ChunksOutliveTheirReader) {
  std::unique_ptr<SourceReader> reader = NewReader();
  auto chunk = reader->Read(partitions_[0], Offset(ends_[0]), 5, 0, Soon());
  ASSERT_OK(chunk);
  reader.reset();
  std::vector<std::string> texts = Texts(chunk->batch);
  std::vector<std::string> expected = table_->Expected(0);
  expected.resize(texts.size());
  EXPECT_EQ(texts, expected);
}

TEST_P(SourceContract, RefusesWhatItDoesNotKnow) {
  proto::Source source = table_->source();
  (*source.mutable_options())["no_such_option"] = "1";
  absl::Status status = connector_->Validate(source);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "no_such_option")) << status;

  source = table_->source();
  proto::SourceColumn* column = source.add_columns();
  column->set_name("_nonsense");
  column->mutable_type()->set_kind(proto::TYPE_TEXT);
  column->set_declared(-1);
  status = connector_->Validate(source);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "_offset")) << "lists what there is: " << status;
}

TEST_P(SourceContract, TakesPublishedOffsets) {
  std::vector<PartitionOffset> committed;
  committed.reserve(partitions_.size());
  for (size_t i = 0; i < partitions_.size(); ++i) {
    committed.push_back({partitions_[i], Offset(ends_[i])});
  }
  EXPECT_OK(enumerator_->PublishOffsets(committed, kTimeout));
}

}  // namespace millrace
