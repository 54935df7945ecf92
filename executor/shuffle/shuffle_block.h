// Rows on their way to one keyed shard, as a sender passes them to a receiver in the same process,
// and as the receiver of a stream gets them. Move-only values.
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

namespace millrace::executor {

// When rows have been applied or dropped, gives the sender back the credit that it spent on them.
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

// `rows` is set when the sender is this executor; its columns own all memory that they point to.
// Otherwise `encoded` is set (columnar/batch_codec); the task that applies it decodes it and checks
// it against the plan (executor/shuffle/block_check.h).
struct ShuffleBlock {
  uint32_t exchange = 0;
  uint32_t shard = 0;
  std::vector<InputRun> runs;
  Batch rows;
  std::string encoded;
  std::string sender_id;  // sender of `encoded`
  FlowHold flow;          // local rows
  CreditHold credit;      // rows of a peer
};

struct ShuffleEnd {
  uint32_t exchange = 0;
  uint64_t blocks = 0;
};

// The part of a peer's frame that belongs to one batch of a job's epoch.
struct ShuffleDelivery {
  std::string sender_id;
  BatchId batch;
  std::vector<ShuffleBlock> blocks;
  std::vector<ShuffleEnd> ends;  // after the blocks
};

// An epoch of a job as a receiver of rows. Called under the hub's lock: must not block and must not
// call the hub.
class ShuffleListener {
 public:
  virtual ~ShuffleListener() = default;
  virtual void OnDelivery(ShuffleDelivery delivery) = 0;
  // The connection to this member is lost: no more rows come from it or reach it.
  virtual void OnPeerLost(const std::string& executor_id, const absl::Status& status) = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_SHUFFLE_SHUFFLE_BLOCK_H_
