// When entries of keyed state expire: once no batch has touched them for longer than the time to
// live. This depends on batch times alone. Sweeps, which free what has expired, pass over all
// entries, some at a time; the oldest touch that a pass has seen tells when the next may find
// something. REQUIRES: batch times never fall.
//
// Thread-compatible.
#ifndef MILLRACE_EXECUTOR_STATE_ENTRIES_ENTRY_EXPIRY_H_
#define MILLRACE_EXECUTOR_STATE_ENTRIES_ENTRY_EXPIRY_H_

#include <algorithm>
#include <cstdint>

namespace millrace::executor {

class EntryExpiry {
 public:
  // `ttl_us` 0 = entries do not expire.
  explicit EntryExpiry(int64_t ttl_us) : ttl_us_(ttl_us) {}

  bool expires() const { return ttl_us_ != 0; }
  bool Expired(int64_t touched_at_us, int64_t now_us) const {
    return expires() && now_us - touched_at_us > ttl_us_;
  }

  // Notes that there is an entry which was last touched then.
  void Touched(int64_t touched_at_us) { oldest_us_ = std::min(oldest_us_, touched_at_us); }

  // Whether a sweep may find an entry that has expired.
  bool IsSweepDue(int64_t now_us) const { return Expired(oldest_us_, now_us); }
  // A pass of the sweep over all entries: Keep is called for each that it leaves.
  void BeginPass(int64_t now_us) { pass_oldest_us_ = now_us; }
  void Keep(int64_t touched_at_us) { pass_oldest_us_ = std::min(pass_oldest_us_, touched_at_us); }
  void EndPass() { oldest_us_ = pass_oldest_us_; }

  // The first batch time at which a sweep may find something; 0 = never.
  int64_t wake_at_us() const {
    return !expires() || oldest_us_ >= INT64_MAX - ttl_us_ ? 0 : oldest_us_ + ttl_us_ + 1;
  }

 private:
  const int64_t ttl_us_;
  int64_t oldest_us_ = INT64_MAX;  // all entries were last touched then or later
  int64_t pass_oldest_us_ = 0;
};

}  // namespace millrace::executor

#endif  // MILLRACE_EXECUTOR_STATE_ENTRIES_ENTRY_EXPIRY_H_
