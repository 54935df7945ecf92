// Rows on their way to one keyed shard, as they are handed from sender to receiver inside a process
// and as the receiver of a stream sees them. Move-only values.
#ifndef MILLRACE_EXECUTOR_SHUFFLE_SHUFFLE_BLOCK_H_
#define MILLRACE_EXECUTOR_SHUFFLE_SHUFFLE_BLOCK_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/ids.h"
#include "common/columnar/batch.h"
#include "executor/operators/operator.h"
#include "executor/shuffle/flow_gate.h"

namespace millrace {

// Gives a sender its credit back when the rows it paid for have been applied or dropped.
class CreditHold {
 public:
  CreditHold() = default;
  explicit CreditHold(std::function<void()> give_back) : give_back_(std::move(give_back)) {}
  CreditHold(CreditHold&& other) noexcept : give_back_(std::exchange(other.give_back_, nullptr)) {}
  CreditHold& operator=(CreditHold&& other) noexcept {
    std::swap(give_back_, other.give_back_);
    return *this;
  }
  ~CreditHold() {
    if (give_back_ != nullptr) {
      give_back_();
    }
  }

 private:
  std::function<void()> give_back_;
};

// `rows` when the sender is this executor; the columns own all they point to. Else `encoded`
// (columnar/batch_codec): it is decoded, and compared with the plan, by the task that applies it
// (executor/shuffle/block_check.h).
struct ShuffleBlock {
  uint32_t exchange = 0;
  uint32_t shard = 0;
  std::vector<InputRun> runs;
  Batch rows;
  std::string encoded;
  std::string sender_id;  // of `encoded`
  FlowHold flow;          // local rows
  CreditHold credit;      // rows of a peer
};

struct ShuffleEnd {
  uint32_t exchange = 0;
  uint64_t blocks = 0;
};

// What one frame of a peer holds for one batch of a job's epoch.
struct ShuffleDelivery {
  std::string sender_id;
  BatchId batch;
  std::vector<ShuffleBlock> blocks;
  std::vector<ShuffleEnd> ends;  // after the blocks
};

// One epoch of a job, as receiver. Called under the hub's lock: must not block and must not call
// the hub.
class ShuffleListener {
 public:
  virtual ~ShuffleListener() = default;
  virtual void OnDelivery(ShuffleDelivery delivery) = 0;
  // No more rows will come from, or reach, this member.
  virtual void OnPeerLost(const std::string& executor_id, const absl::Status& status) = 0;
};

}  // namespace millrace

#endif  // MILLRACE_EXECUTOR_SHUFFLE_SHUFFLE_BLOCK_H_
