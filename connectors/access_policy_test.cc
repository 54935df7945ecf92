// What a script may reach: every way out of an allowed directory is tried.
#include "connectors/access_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace millrace {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class AccessPolicyTest : public testing::Test {
 protected:
  AccessPolicyTest() {
    fs::remove_all(root_);
    fs::create_directories(root_ / "data" / "deep");
    fs::create_directories(root_ / "outside");
    std::ofstream(root_ / "outside" / "secret") << "s";
    fs::create_directory_symlink(root_ / "outside", root_ / "data" / "link");
    fs::create_symlink(root_ / "outside" / "secret", root_ / "data" / "file-link");
    fs::create_symlink(root_ / "outside" / "not-there", root_ / "data" / "dangling");
    fs::create_directory_symlink(root_ / "data" / "deep", root_ / "data" / "inside-link");
  }
  ~AccessPolicyTest() override { fs::remove_all(root_); }

  AccessPolicy Policy() const {
    auto policy = AccessPolicy::Confined(
        "millrace-driver", {(root_ / "data").string()},
        {"env:KAFKA_*", "env:ONE", "file:" + (root_ / "data" / "deep").string()});
    EXPECT_TRUE(policy.ok()) << policy.status();
    return *policy;
  }
  bool Allowed(const std::string& below) const {
    return Policy().CheckPath((root_ / below).string()).ok();
  }

  const fs::path root_ =
      fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(AccessPolicyTest, WhatLiesBelowARootIsAllowed) {
  EXPECT_TRUE(Allowed("data"));
  EXPECT_TRUE(Allowed("data/"));
  EXPECT_TRUE(Allowed("data/new/not/there.json"));
  EXPECT_TRUE(Allowed("data/deep/../x"));
  EXPECT_TRUE(Allowed("data/*.json"));
  EXPECT_TRUE(Allowed("data/*/x[0-9].csv"));
  EXPECT_TRUE(Allowed("data/inside-link/x")) << "it stays inside";
  EXPECT_TRUE(Policy().CheckPath("file://" + (root_ / "data" / "x").string()).ok());
}

TEST_F(AccessPolicyTest, NothingLeadsOut) {
  EXPECT_FALSE(Allowed("outside/secret"));
  EXPECT_FALSE(Allowed("data-of-another"));
  EXPECT_FALSE(Allowed("data/../outside/secret"));
  EXPECT_FALSE(Allowed("data/new/../../outside"));
  EXPECT_FALSE(Allowed("data/link"));
  EXPECT_FALSE(Allowed("data/link/secret"));
  EXPECT_FALSE(Allowed("data/link/new"));
  EXPECT_FALSE(Allowed("data/file-link"));
  EXPECT_FALSE(Allowed("data/dangling")) << "a sink would create what it points to";
  EXPECT_FALSE(Allowed("data/dangling/x"));
  EXPECT_FALSE(Allowed("data/inside-link/../../outside/secret"));
  EXPECT_FALSE(Allowed("data/link/*.json"));
  EXPECT_FALSE(Allowed("data/*/../../outside/*"));
  EXPECT_FALSE(Allowed("data/\\.\\./outside/*")) << "glob takes the backslashes away";
  EXPECT_FALSE(Allowed("dat*/x")) << "what it matches may be anywhere beside the root";
  EXPECT_FALSE(Policy().CheckPath("file://" + (root_ / "outside").string()).ok());
  EXPECT_FALSE(Policy().CheckPath("s3://" + (root_ / "data").string()).ok());
  EXPECT_FALSE(Policy().CheckPath("").ok());
}

TEST_F(AccessPolicyTest, AFileIsNoPattern) {
  fs::create_symlink(root_ / "outside" / "secret", root_ / "data" / "star*");
  EXPECT_FALSE(Policy().CheckFile((root_ / "data" / "star*").string()).ok());
  EXPECT_TRUE(Policy().CheckFile((root_ / "data" / "a[1].json").string()).ok());
}

TEST_F(AccessPolicyTest, RefusalSaysHowToAllow) {
  const absl::Status status = Policy().CheckPath("/etc/passwd");
  EXPECT_TRUE(absl::IsPermissionDenied(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("path '/etc/passwd'"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("millrace-driver --allow-path DIRECTORY"));
  const absl::Status secret = Policy().CheckSecrets("a ${env:HOME} b");
  EXPECT_TRUE(absl::IsPermissionDenied(secret));
  EXPECT_THAT(std::string(secret.message()), HasSubstr("millrace-driver --allow-secret env:HOME"));
  const auto none = AccessPolicy::Confined("millrace-driver", {}, {});
  EXPECT_THAT(std::string(none->CheckPath("/x").message()), HasSubstr("none is allowed"));
}

TEST_F(AccessPolicyTest, OnlyNamedSecrets) {
  EXPECT_TRUE(Policy().CheckSecrets("no reference").ok());
  EXPECT_TRUE(Policy().CheckSecrets("${env:ONE}${env:KAFKA_PASSWORD}").ok());
  EXPECT_FALSE(Policy().CheckSecrets("${env:ONE}${env:ONE_MORE}").ok());
  EXPECT_FALSE(Policy().CheckSecrets("${env:KAFKA}").ok());
  const std::string deep = (root_ / "data" / "deep").string();
  EXPECT_TRUE(Policy().CheckSecrets("${file:" + deep + "/key}").ok());
  EXPECT_FALSE(Policy().CheckSecrets("${file:" + deep + "/../../outside/secret}").ok());
  EXPECT_FALSE(Policy().CheckSecrets("${file:/etc/passwd}").ok());
  EXPECT_FALSE(Policy().CheckSecrets("${vault:x}").ok());
}

TEST_F(AccessPolicyTest, WithoutConfinementEverythingIsAllowed) {
  EXPECT_TRUE(AccessPolicy().CheckPath("/etc/passwd").ok());
  EXPECT_TRUE(AccessPolicy().CheckSecrets("${env:HOME}").ok());
  EXPECT_FALSE(AccessPolicy::Confined("p", {}, {"HOME"}).ok());
  EXPECT_FALSE(AccessPolicy::Confined("p", {""}, {}).ok());
}

}  // namespace
}  // namespace millrace
