// Helpers with which connectors and formats read a table's WITH options. Every error names the
// option, its value, and the values that it may have. Pure functions.
#ifndef MILLRACE_CONNECTORS_SHARED_OPTIONS_H_
#define MILLRACE_CONNECTORS_SHARED_OPTIONS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/types/sql_type.h"
#include "connectors/sink.h"
#include "proto/plan.pb.h"

namespace millrace {

using OptionMap = google::protobuf::Map<std::string, std::string>;

// The candidates that `name` may have been meant to be, best first, at most `limit`: those at a
// small edit distance, or where one contains the other.
std::vector<std::string> NearNames(std::string_view name,
                                   const std::vector<std::string>& candidates, size_t limit = 3);

// INVALID_ARGUMENT for an option that is neither in `allowed` nor one that the engine itself reads
// (connector, format, on_error, …). An allowed name with a placeholder ("path.<column>") stands for
// every name with that beginning.
absl::Status CheckOptionNames(const OptionMap& options, std::string_view connector,
                              const std::vector<std::string>& allowed);

// The option's text, or `fallback`.
std::string OptionOr(const OptionMap& options, std::string_view name, std::string_view fallback);
absl::StatusOr<std::string> RequiredOption(const OptionMap& options, std::string_view connector,
                                           std::string_view name, std::string_view example);
// The path that the option names, which may be a file:// URL.
absl::StatusOr<std::string> PathOption(const OptionMap& options, std::string_view connector,
                                       std::string_view name, std::string_view example);
absl::StatusOr<int64_t> IntOption(const OptionMap& options, std::string_view name, int64_t fallback,
                                  int64_t min, int64_t max);
absl::StatusOr<double> DoubleOption(const OptionMap& options, std::string_view name,
                                    double fallback, double min, double max);
absl::StatusOr<bool> BoolOption(const OptionMap& options, std::string_view name, bool fallback);
// The option's value, which must be one of `allowed`.
absl::StatusOr<std::string> ChoiceOption(const OptionMap& options, std::string_view name,
                                         std::string_view fallback,
                                         const std::vector<std::string>& allowed);

using MetadataColumnList = std::vector<std::pair<std::string, SqlType>>;

// Checks that every column that a job reads is a declared one with its declared type, or one of
// `metadata`.
absl::Status CheckSourceColumns(const proto::Source& source, const MetadataColumnList& metadata);

// INVALID_ARGUMENT unless a connector with these traits accepts the sink's `mode` and key columns.
absl::Status CheckSinkMode(const proto::Sink& sink, std::string_view connector,
                           const SinkTraits& traits);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_SHARED_OPTIONS_H_
