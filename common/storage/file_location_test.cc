#include "common/storage/file_location.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace millrace {
namespace {

using ::testing::HasSubstr;

TEST(FileLocationTest, FileUrlsAndPathsNameThePath) {
  for (const auto& [location, path] :
       {std::pair("/data/x", "/data/x"), std::pair("data/*.csv", "data/*.csv"),
        std::pair("file:///data/x", "/data/x"), std::pair("file:///data/*.csv", "/data/*.csv"),
        std::pair("/data/http://x", "/data/http://x"), std::pair("./file:x", "./file:x"),
        std::pair("", "")}) {
    const absl::StatusOr<std::string> found = PathOfLocation(location);
    ASSERT_TRUE(found.ok()) << location << ": " << found.status();
    EXPECT_EQ(*found, path) << location;
  }
}

TEST(FileLocationTest, OtherUrlsAreNoRelativePaths) {
  for (const auto& [location, why] :
       {std::pair("s3://bucket/x", "there is no scheme s3"),
        std::pair("file://host/x", "not by a host"), std::pair("file:/x", "not by a host"),
        std::pair("file:x", "not by a host"), std::pair("://x", "there is no scheme ")}) {
    const absl::StatusOr<std::string> found = PathOfLocation(location);
    EXPECT_TRUE(absl::IsInvalidArgument(found.status())) << location;
    EXPECT_THAT(std::string(found.status().message()), HasSubstr(why)) << location;
  }
}

}  // namespace
}  // namespace millrace
