// The marker of a file sink's shard, which it needs to go on after a commit, and the names of its
// files. Values; pure functions.
//
//   part-<sink>-<shard>-<incarnation>-<seq>.<extension>            the final name, for readers
//   .part-<sink>-…-<seq>.<extension>.e<epoch>[-<copy>].open        the same file before that
//
// The epoch and the copy's number give each open file a name of its own: no two writers, and no two
// tries of one writer, ever write to the same file.
#ifndef MILLRACE_CONNECTORS_FILE_SINK_FILE_SINK_MARKER_H_
#define MILLRACE_CONNECTORS_FILE_SINK_FILE_SINK_MARKER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/ids.h"

namespace millrace::file {

// The names of a shard's files, without directories.
class FileSinkNames {
 public:
  // `incarnation` keeps a job apart from an earlier one that wrote to the same directory; its first
  // 8 characters are used.
  FileSinkNames(uint32_t sink, uint32_t shard, std::string_view incarnation,
                std::string_view extension);

  std::string Final(int64_t seq) const;

  // The number in a final name of this shard, whatever its extension; none for other names.
  std::optional<int64_t> SeqOfFinal(std::string_view name) const;
  // The epoch in the name of an open file of this shard; none for other names.
  std::optional<Epoch> EpochOfOpen(std::string_view name) const;
  // The name of an open file, and the final name that it will get; that one is empty if `open` is
  // no name of an open file.
  static std::string OpenOf(std::string_view final, Epoch epoch, int64_t copy);
  static std::string FinalOf(std::string_view open);

 private:
  std::string shard_;  // the beginning of its names, up to the number
  std::string extension_;
};

struct FileSinkMarker {
  // A file that is closed and waits for its final name.
  struct Closed {
    std::string open;  // its name until then
    int64_t length = 0;
    BatchId batch;  // the batch whose commit closed it. Not in the text: a journaled marker is
                    // committed
  };

  BatchId batch;            // the last committed batch
  int64_t seq = 0;          // number of the open file; if there is none, of the next one
  std::string shape = "-";  // lines of different shapes may not share a file; without blanks
  std::string open;         // name of the open file; empty = there is none
  int64_t length = 0;       // committed bytes of the open file
  int64_t begin_us = 0;     // batch time of its first batch
  std::vector<Closed> closed;

  std::string ToString() const;
  // DATA_LOSS: no marker of a file sink.
  static absl::StatusOr<FileSinkMarker> Parse(const std::string& text);
};

}  // namespace millrace::file

#endif  // MILLRACE_CONNECTORS_FILE_SINK_FILE_SINK_MARKER_H_
