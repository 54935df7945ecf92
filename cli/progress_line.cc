#include "cli/progress_line.h"

#include "absl/strings/str_cat.h"
#include "common/base/steady_time.h"

namespace millrace::cli {
namespace {

constexpr absl::Duration kWindow = absl::Seconds(5);

std::string WholeSeconds(absl::Duration duration) {
  const int64_t seconds = absl::ToInt64Seconds(absl::Ceil(duration, absl::Seconds(1)));
  if (seconds < 60) {
    return absl::StrCat(seconds, " s");
  }
  if (seconds < 3600) {
    return absl::StrCat(seconds / 60, " min ", seconds % 60, " s");
  }
  return absl::StrCat(seconds / 3600, " h ", seconds % 3600 / 60, " min");
}

}  // namespace

void RateEstimate::Add(absl::Time time, int64_t total_records) {
  points_.emplace_back(time, total_records);
  while (points_.size() > 2 && points_[1].first <= time - kWindow) {
    points_.pop_front();
  }
}

double RateEstimate::RecordsPerSecond() const {
  if (points_.size() < 2) {
    return 0;
  }
  const double seconds = absl::ToDoubleSeconds(points_.back().first - points_.front().first);
  return seconds <= 0
             ? 0
             : static_cast<double>(points_.back().second - points_.front().second) / seconds;
}

absl::Duration RateEstimate::TimeFor(int64_t records) const {
  const double rate = RecordsPerSecond();
  return rate <= 0 ? absl::InfiniteDuration() : absl::Seconds(static_cast<double>(records) / rate);
}

std::string ProgressText(int64_t total_records, int64_t lag_records, const RateEstimate& rate) {
  std::string text = absl::StrCat(WithThousands(total_records), " records, ",
                                  WithThousands(static_cast<int64_t>(rate.RecordsPerSecond())),
                                  " records/s, lag ", WithThousands(lag_records));
  if (const absl::Duration left = rate.TimeFor(lag_records);
      lag_records > 0 && left < absl::Hours(1000)) {
    absl::StrAppend(&text, ", ", WholeSeconds(left), " left");
  }
  return text;
}

void ProgressLine::Update(int64_t total_records, int64_t lag_records) {
  if (!enabled_) {
    return;
  }
  rate_.Add(SteadyNow(), total_records);
  console_.out.flush();
  console_.err << "\r\033[K" << ProgressText(total_records, lag_records, rate_) << std::flush;
  shown_ = true;
}

void ProgressLine::Clear() {
  if (shown_) {
    console_.err << "\r\033[K" << std::flush;
    shown_ = false;
  }
}

}  // namespace millrace::cli
