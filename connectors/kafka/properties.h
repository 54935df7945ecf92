// librdkafka's properties as table options: which may pass to the client. The list is of what may,
// not of what may not, since a property can load code, run a command, read a file or call out. Pure
// functions.
#ifndef MILLRACE_CONNECTORS_KAFKA_PROPERTIES_H_
#define MILLRACE_CONNECTORS_KAFKA_PROPERTIES_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "connectors/options.h"

namespace millrace {

enum class KafkaRole { kConsumer, kProducer, kAdmin };

bool IsAllowedKafkaProperty(std::string_view name, KafkaRole role);
std::vector<std::string> AllowedKafkaProperties(KafkaRole role);

// INVALID_ARGUMENT for an option that is neither in `own` (the connector's and format's, as for
// CheckOptionNames) nor an allowed property; says why a refused one is refused and what is near.
// Does not look at values.
absl::Status CheckKafkaOptionNames(const OptionMap& options, KafkaRole role,
                                   const std::vector<std::string>& own);

}  // namespace millrace

#endif  // MILLRACE_CONNECTORS_KAFKA_PROPERTIES_H_
