// The file sink against a model of its environment: a journal that knows which commits count, and
// processes that die, hang and wake up at any step. A step is an operation of the file system, a
// failpoint, or an entry of the journal; every one is tried in turn.
#include <algorithm>
#include <functional>
#include <set>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/failpoint.h"
#include "common/storage/memory_file_system.h"
#include "connectors/file/sink/file_sink_testing.h"

namespace millrace::file {
namespace {

constexpr char kOut[] = "/out";
constexpr int64_t kBatches = 14;
constexpr int64_t kSecond = 1'000'000;

uint64_t Mix(uint64_t seed, int64_t what) {
  uint64_t x = seed * 0x9E3779B97F4A7C15ULL + static_cast<uint64_t>(what) * 0xBF58476D1CE4E5B9ULL;
  x ^= x >> 29;
  x *= 0x94D049BB133111EBULL;
  return x ^ (x >> 32);
}

// The rows of a batch are the same in every replay.
std::vector<std::string> RowsOf(uint64_t seed, int64_t batch) {
  std::vector<std::string> rows(Mix(seed, batch) % 4);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i] = absl::StrCat(batch, ".", i, std::string(Mix(seed, batch * 10) % 20, '.'));
  }
  return rows;
}

std::string LinesUpTo(uint64_t seed, int64_t batch) {
  std::string lines;
  for (int64_t b = 1; b <= batch; ++b) {
    for (const std::string& row : RowsOf(seed, b)) {
      absl::StrAppend(&lines, row, "\n");
    }
  }
  return lines;
}

// What happens to a process that reaches its chosen step.
enum class Fate {
  kKilled,           // like kill -9: the files stay as they are
  kPowerLost,        // unsynced bytes and names are gone
  kPowerLostTorn,    // some unsynced bytes stay
  kPowerLostNamed,   // names stay, unsynced bytes are gone
  kHungUntilClaim,   // stopped; wakes up when its successor has claimed the shard
  kHungUntilCommit,  // the same, when it has committed
  kHungUntilEnd,     // the same, when it has published everything
  kDiskError,        // that one step fails, the process lives
};

bool Hangs(Fate fate) {
  return fate == Fate::kHungUntilClaim || fate == Fate::kHungUntilCommit ||
         fate == Fate::kHungUntilEnd;
}

// One process, and how far it may go. Its steps are counted; at the chosen one it meets its fate.
class Process {
 public:
  Process(int64_t fatal_step, Fate fate) : fatal_step_(fatal_step), fate_(fate) {}

  // Called at every step on the process's own thread. Not OK: the process is dead, or the disk
  // failed.
  absl::Status Step(bool disk) {
    absl::MutexLock lock(&mutex_);
    if (dead_) {
      return absl::InternalError("dead");
    }
    if (steps_++ != fatal_step_) {
      return absl::OkStatus();
    }
    if (fate_ == Fate::kDiskError) {
      return disk ? absl::InternalError("Input/output error") : absl::OkStatus();
    }
    if (!Hangs(fate_)) {
      dead_ = true;
      return absl::InternalError("killed");
    }
    hung_ = true;
    changed_.SignalAll();
    while (!released_) {
      changed_.Wait(&mutex_);
    }
    return absl::OkStatus();
  }
  void End() {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    changed_.SignalAll();
  }
  // True if it hangs, false if it has ended.
  bool WaitUntilHungOrEnded() {
    absl::MutexLock lock(&mutex_);
    while (!hung_ && !ended_) {
      changed_.Wait(&mutex_);
    }
    return hung_;
  }
  void Release() {
    absl::MutexLock lock(&mutex_);
    released_ = true;
    changed_.SignalAll();
  }
  bool met_its_fate() {
    absl::MutexLock lock(&mutex_);
    return steps_ > fatal_step_;
  }

 private:
  const int64_t fatal_step_;
  const Fate fate_;
  absl::Mutex mutex_;
  absl::CondVar changed_;
  int64_t steps_ ABSL_GUARDED_BY(mutex_) = 0;
  bool dead_ ABSL_GUARDED_BY(mutex_) = false;
  bool hung_ ABSL_GUARDED_BY(mutex_) = false;
  bool released_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

thread_local Process* this_process = nullptr;

// The driver's journal, as far as a sink depends on it: entries of a lower epoch are refused, each
// batch of a commit has an entry of its own, and the first entry has the marker.
class Journal {
 public:
  int64_t StartEpoch() {
    absl::MutexLock lock(&mutex_);
    return ++epoch_;
  }
  bool RecordClaim(int64_t epoch, const std::string& marker) {
    return Record(epoch, marker, batch());
  }
  bool RecordCommit(int64_t epoch, const std::string& marker, int64_t through) {
    for (int64_t batch = this->batch() + 1; batch <= through; ++batch) {
      if (!Record(epoch, marker, batch)) {
        return false;
      }
    }
    return true;
  }
  std::string marker() const {
    absl::MutexLock lock(&mutex_);
    return marker_;
  }
  // The last batch whose commit is known. Later batches are run again.
  int64_t batch() const {
    absl::MutexLock lock(&mutex_);
    return batch_;
  }

 private:
  bool Record(int64_t epoch, const std::string& marker, int64_t batch) {
    if (!this_process->Step(/*disk=*/false).ok()) {
      return false;
    }
    absl::MutexLock lock(&mutex_);
    if (epoch != epoch_) {
      return false;
    }
    marker_ = marker;
    batch_ = batch;
    return true;
  }

  mutable absl::Mutex mutex_;
  int64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string marker_ ABSL_GUARDED_BY(mutex_);
  int64_t batch_ ABSL_GUARDED_BY(mutex_) = 0;
};

class FileSinkModelTest : public FileSinkFixture {
 protected:
  // The files and the journal of one history.
  struct World {
    explicit World(uint64_t seed) : seed(seed) {
      EXPECT_TRUE(files.MakeDirectory(kOut).ok());
      files.SetFault([](MemoryFileSystem::Operation, const std::string&) {
        return this_process == nullptr ? absl::OkStatus() : this_process->Step(/*disk=*/true);
      });
    }
    const uint64_t seed;
    MemoryFileSystem files;
    Journal journal;
  };

  FileSinkModelTest() {
    SetFailpointHandler([this](const char* name) {
      if (this_process != nullptr) {
        (void)this_process->Step(/*disk=*/false);
        absl::MutexLock lock(&mutex_);
        failpoints_hit_.insert(name);
      }
    });
  }
  ~FileSinkModelTest() override { SetFailpointHandler(nullptr); }

  // In every other history most batches go to the file ahead of their commit.
  static proto::Sink Target(uint64_t seed) {
    proto::Sink sink = Table(kOut, "raw");
    (*sink.mutable_options())["max_held"] = seed % 2 == 0 ? "10 B" : "1 MiB";
    (*sink.mutable_options())["roll_size"] = "60 B";
    (*sink.mutable_options())["roll_interval"] = "4 s";
    return sink;
  }

  // Writes one batch, or two that are committed together, and commits; tries again as executors do.
  // Returns the last batch, or none if the process cannot go on.
  std::optional<int64_t> CommitNext(World* world, SingleShardSession* session) {
    int64_t through = world->journal.batch() + 1;
    for (int64_t last =
             std::min(kBatches, through + static_cast<int64_t>(Mix(world->seed, -through) % 2));
         ; ++through) {
      session->NoteBatch(BatchId(through), through * kSecond);
      if (const auto rows = RowsOf(world->seed, through); !rows.empty()) {
        if (!Write(session, through, rows, through * kSecond).ok()) {
          return std::nullopt;  // the epoch fails, or would if it were alive
        }
      }
      EXPECT_TRUE(session->Prepare(BatchId(through), absl::InfiniteFuture()).ok());
      if (through == last) {
        break;
      }
    }
    if (through == kBatches) {
      session->Finish();
    }
    for (int tries = 0; tries < 2; ++tries) {
      if (session->Commit(BatchId(through), absl::InfiniteFuture()).ok()) {
        return through;
      }
    }
    return std::nullopt;
  }

  // A process's life in one epoch, until it is done or cannot go on. `after_commits`: called after
  // that many commits.
  bool RunEpoch(World* world, Process* process, const std::function<void(int64_t commits)>& after) {
    this_process = process;
    const bool done = RunEpochSteps(world, after);
    this_process = nullptr;
    process->End();
    return done;
  }

  bool RunEpochSteps(World* world, const std::function<void(int64_t commits)>& after) {
    const int64_t epoch = world->journal.StartEpoch();
    auto session = Open(&world->files, Target(world->seed), epoch, world->journal.marker());
    if (!session.ok() || !world->journal.RecordClaim(epoch, (*session)->mark().marker)) {
      return false;
    }
    after(0);
    int64_t settled = 0;
    for (int64_t commits = 1; settled < kBatches; ++commits) {
      int64_t durable = world->journal.batch();
      if (durable < kBatches) {
        const std::optional<int64_t> through = CommitNext(world, session->get());
        if (!through.has_value() ||
            !world->journal.RecordCommit(epoch, (*session)->mark().marker, *through)) {
          // A zombie may still have been told which commits were durable.
          (void)(*session)->Settle(BatchId(durable), absl::InfiniteFuture());
          return false;
        }
        durable = *through;
        after(commits);
      }
      if (durable == kBatches || Mix(world->seed, durable * 7) % 2 == 0) {
        if (!(*session)->Settle(BatchId(durable), absl::InfiniteFuture()).ok()) {
          return false;
        }
        settled = durable;
      }
    }
    return true;
  }

  // Runs new epochs until all is done.
  void Recover(World* world, const std::function<void(int64_t commits)>& after) {
    Process immortal(-1, Fate::kKilled);
    ASSERT_TRUE(RunEpoch(world, &immortal, after));
  }

  // Checks that published files have nothing that the journal does not know, and that together with
  // the files in its marker they have all that it knows.
  static void CheckNow(World* world) {
    const std::optional<std::string> published = Published(&world->files, kOut);
    ASSERT_TRUE(published.has_value());
    if (world->journal.marker().empty()) {
      ASSERT_EQ(*published, "");
      ASSERT_EQ(world->journal.batch(), 0);
      return;
    }
    const FileSinkMarker marker = *FileSinkMarker::Parse(world->journal.marker());
    ASSERT_GE(marker.batch.value(), world->journal.batch());
    const std::string committed = LinesUpTo(world->seed, marker.batch.value());
    ASSERT_TRUE(absl::StartsWith(committed, *published)) << *published << "\nof\n" << committed;
    std::string all;
    for (int64_t seq = 0; seq < marker.seq - static_cast<int64_t>(marker.closed.size()); ++seq) {
      all += *world->files.Read(
          absl::StrCat(kOut, "/", FileSinkNames(0, 0, kIncarnation, "txt").Final(seq)));
    }
    for (const FileSinkMarker::Closed& file : marker.closed) {
      auto bytes = world->files.Read(absl::StrCat(kOut, "/", file.open));
      if (!bytes.ok()) {
        bytes = world->files.Read(absl::StrCat(kOut, "/", FileSinkNames::FinalOf(file.open)));
      }
      ASSERT_TRUE(bytes.ok()) << bytes.status();
      ASSERT_EQ(static_cast<int64_t>(bytes->size()), file.length);
      all += *bytes;
    }
    if (!marker.open.empty()) {
      const auto bytes =
          world->files.ReadRange(absl::StrCat(kOut, "/", marker.open), 0, marker.length);
      ASSERT_TRUE(bytes.ok()) << bytes.status();
      all += *bytes;
    }
    ASSERT_EQ(all, committed);
  }

  // `may_leave`: files may be left over, since the last process was a zombie, or a removal was lost
  // with the power.
  static void CheckEnd(World* world, bool may_leave) {
    EXPECT_EQ(Published(&world->files, kOut), LinesUpTo(world->seed, kBatches));
    const std::vector<std::string> listed = *world->files.List(kOut);
    for (const std::string& name : listed) {
      EXPECT_TRUE(name[0] != '.' || may_leave) << name << " was left behind";
    }
  }

  // One process meets `fate` at `step`, and others finish its work. False: its work was done before
  // that step.
  bool Try(uint64_t seed, Fate fate, int64_t step) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", fate ", static_cast<int>(fate), ", step ", step));
    World world(seed);
    // Runs first, so that the fate may also hit a claim of files that another process has left.
    Process before(static_cast<int64_t>(Mix(seed, 0) % 50), Fate::kKilled);
    (void)RunEpoch(&world, &before, [](int64_t) {});
    CheckNow(&world);
    Process process(step, fate);
    if (Hangs(fate)) {
      return TryZombie(&world, &process, fate);
    }
    const bool done = RunEpoch(&world, &process, [](int64_t) {});
    const bool power_lost = fate != Fate::kKilled && fate != Fate::kDiskError;
    if (power_lost) {
      world.files.Crash(fate == Fate::kPowerLostTorn ? 7 : 0, fate == Fate::kPowerLostNamed);
    }
    CheckNow(&world);
    if (!done) {
      // A second process meets the same fate, further on.
      Process second(static_cast<int64_t>(Mix(seed, step) % 40), fate);
      if (!RunEpoch(&world, &second, [](int64_t) {})) {
        CheckNow(&world);
        Recover(&world, [&](int64_t) { CheckNow(&world); });
      }
    }
    CheckEnd(&world, /*may_leave=*/done && power_lost);
    return process.met_its_fate();
  }

  bool TryZombie(World* world, Process* process, Fate fate) {
    std::thread zombie([&] { RunEpoch(world, process, [](int64_t) {}); });
    const bool hung = process->WaitUntilHungOrEnded();
    if (hung) {
      const auto wake = [&](int64_t commits) {
        if (commits == (fate == Fate::kHungUntilClaim ? 0 : 2) && fate != Fate::kHungUntilEnd) {
          process->Release();
          zombie.join();
        }
        CheckNow(world);
      };
      Recover(world, wake);
      process->Release();
    }
    if (zombie.joinable()) {
      zombie.join();
    }
    CheckNow(world);
    CheckEnd(world, /*may_leave=*/hung);
    return hung;
  }

  void TryEveryStep(Fate fate) {
    for (uint64_t seed = 1; seed <= 8; ++seed) {
      int64_t step = 0;
      while (Try(seed, fate, step) && !HasFailure()) {
        ++step;
      }
      EXPECT_GT(step, 20) << "a history has more steps than that";
    }
  }

  std::set<std::string> failpoints_hit() {
    absl::MutexLock lock(&mutex_);
    return failpoints_hit_;
  }

 private:
  absl::Mutex mutex_;
  std::set<std::string> failpoints_hit_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(FileSinkModelTest, Killed) { TryEveryStep(Fate::kKilled); }
TEST_F(FileSinkModelTest, PowerLost) { TryEveryStep(Fate::kPowerLost); }
TEST_F(FileSinkModelTest, PowerLostTorn) { TryEveryStep(Fate::kPowerLostTorn); }
TEST_F(FileSinkModelTest, PowerLostNamed) { TryEveryStep(Fate::kPowerLostNamed); }
TEST_F(FileSinkModelTest, WakesAfterTheClaim) { TryEveryStep(Fate::kHungUntilClaim); }
TEST_F(FileSinkModelTest, WakesAfterACommit) { TryEveryStep(Fate::kHungUntilCommit); }
TEST_F(FileSinkModelTest, WakesAfterTheEnd) { TryEveryStep(Fate::kHungUntilEnd); }
TEST_F(FileSinkModelTest, DiskErrors) { TryEveryStep(Fate::kDiskError); }

TEST_F(FileSinkModelTest, PassesEveryFailpoint) {
  TryEveryStep(Fate::kKilled);
  std::set<std::string> of_the_sink;
  for (const std::string& name : AllFailpoints()) {
    if (absl::StartsWith(name, "file_sink.")) {
      of_the_sink.insert(name);
    }
  }
  EXPECT_EQ(of_the_sink.size(), 8u);
  EXPECT_EQ(failpoints_hit(), of_the_sink);
}

}  // namespace
}  // namespace millrace::file
