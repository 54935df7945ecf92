// librdkafka's properties as table options: the list of those that may be passed to the client. The
// list names the allowed properties and not the forbidden ones, since a property can load code, run
// a command, read a file or open a connection, and one that nobody has judged must not pass. Pure
// functions.
#ifndef MILLRACE_CONNECTORS_KAFKA_CLIENT_PROPERTIES_H_
#define MILLRACE_CONNECTORS_KAFKA_CLIENT_PROPERTIES_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "connectors/shared/options.h"

namespace millrace::kafka {

enum class KafkaRole { kConsumer, kProducer, kAdmin };

bool IsAllowedKafkaProperty(std::string_view name, KafkaRole role);
std::vector<std::string> AllowedKafkaProperties(KafkaRole role);

// INVALID_ARGUMENT for an option that is neither in `own` (the connector's and format's, as for
// CheckOptionNames) nor an allowed property; it says why a property is refused, and which names are
// similar. Does not check values.
absl::Status CheckKafkaOptionNames(const OptionMap& options, KafkaRole role,
                                   const std::vector<std::string>& own);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_CLIENT_PROPERTIES_H_
