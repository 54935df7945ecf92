#include "executor/epoch/sink_claims.h"

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "common/base/status.h"

namespace millrace::executor {

void SinkClaims::ClaimAll(std::function<void(proto::EpochReady found)> done) {
  auto found = std::make_shared<proto::EpochReady>();
  // What versions before sessions have left open ends first: it might hold up a session's claim.
  ClaimFormerShards(found.get(), [this, found, done = std::move(done)] {
    Open(Slots(), found.get(), [this, found, done] {
      std::vector<Claim> shards;
      AddClaims(sinks_.OwnShards(), /*stay=*/true, &shards);
      AddClaims(layout_.retired_shards, /*stay=*/false, &shards);
      Open(std::move(shards), found.get(), [this, found, done] {
        AddWriters(sinks_.OwnShards(), [found, done] { done(std::move(*found)); });
      });
    });
  });
}

void SinkClaims::AddShards(std::vector<ShardPlace> shards, std::function<void()> done) {
  std::vector<Claim> claims;
  AddClaims(shards, /*stay=*/true, &claims);
  auto found = std::make_shared<proto::EpochReady>();
  Open(std::move(claims), found.get(),
       [this, found, shards = std::move(shards), done = std::move(done)] {
         AddWriters(shards, done);
       });
}

std::vector<SinkClaims::Claim> SinkClaims::Slots() const {
  std::vector<Claim> claims;
  for (const SlotPlace& slot : layout_.slots) {
    claims.push_back({.place = slot, .stays = layout_.IsOwn(slot)});
  }
  return claims;
}

void SinkClaims::AddClaims(const std::vector<ShardPlace>& shards, bool stay,
                           std::vector<Claim>* claims) const {
  for (const ShardPlace& shard : shards) {
    if (!sinks_.gathered(shard.sink) && !sinks_.shared(shard.sink)) {
      claims->push_back({.place = shard, .stays = stay});
    }
  }
}

void SinkClaims::ClaimFormerShards(proto::EpochReady* found, std::function<void()> done) {
  const std::vector<ShardPlace>& shards = layout_.former_shards;
  const auto claim = [this, &shards](size_t i) -> absl::StatusOr<proto::EpochReady> {
    ASSIGN_OR_RETURN(const BatchId committed, sinks_.ClaimFormer(shards[i]));
    proto::EpochReady claimed;
    proto::SinkMarker* former = claimed.add_former_shards();
    former->set_sink(shards[i].sink);
    former->set_shard(shards[i].shard);
    former->set_batch(committed.value());
    return claimed;
  };
  SideBySide(shards.size(), claim, found, std::move(done));
}

void SinkClaims::Open(std::vector<Claim> claims, proto::EpochReady* found,
                      std::function<void()> done) {
  const size_t count = claims.size();
  const auto open = [this,
                     claims = std::move(claims)](size_t i) -> absl::StatusOr<proto::EpochReady> {
    ASSIGN_OR_RETURN(std::unique_ptr<OpenSession> session, sinks_.Open(claims[i].place));
    proto::EpochReady claimed;
    session->ReportClaim(&claimed);
    if (claims[i].stays) {
      sinks_.AddSession(std::move(session));
    }
    return claimed;
  };
  SideBySide(count, open, found, std::move(done));
}

void SinkClaims::SideBySide(size_t count, const ClaimOne& claim, proto::EpochReady* found,
                            std::function<void()> done) {
  auto claimed = std::make_shared<std::vector<proto::EpochReady>>(count);
  const auto each = [this, claim, claimed](size_t i) {
    if (host_->ended()) {
      return;
    }
    absl::StatusOr<proto::EpochReady> one = claim(i);
    if (one.ok()) {
      (*claimed)[i] = *std::move(one);
    } else {
      fail_(one.status());
    }
  };
  FanOut(host_, count, each, [this, claimed, found, done = std::move(done)] {
    if (host_->ended()) {
      return;
    }
    for (const proto::EpochReady& one : *claimed) {
      found->MergeFrom(one);
    }
    done();
  });
}

void SinkClaims::AddWriters(const std::vector<ShardPlace>& shards,
                            const std::function<void()>& done) {
  for (const ShardPlace& shard : shards) {
    if (const absl::Status added = sinks_.AddWriter(shard); !added.ok()) {
      fail_(added);
      return;
    }
  }
  done();
}

}  // namespace millrace::executor
