// What several threads reach together at most: arithmetic in registers, and reading memory.
#include "roofline.h"

#include <chrono>
#include <mutex>
#include <condition_variable>
#include <thread>

namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// All threads start together; the time until the last one is done.
double together(int threads, const std::function<void(int)> &work) {
  std::mutex mutex;
  std::condition_variable changed;
  int ready = 0;
  bool go = false;
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; i++) {
    workers.emplace_back([&, i] {
      {
        std::unique_lock<std::mutex> lock(mutex);
        ready++;
        changed.notify_all();
        changed.wait(lock, [&] { return go; });
      }
      work(i);
    });
  }
  double start;
  {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return ready == threads; });
    start = seconds();
    go = true;
  }
  changed.notify_all();
  for (std::thread &worker : workers) worker.join();
  return seconds() - start;
}

// The best of several turns, per second.
double best(int threads, double amount, const std::function<void(int)> &work) {
  double most = 0;
  for (int turn = 0; turn < 25; turn++) most = std::max(most, amount * threads / together(threads, work));
  return most;
}

double arithmetic(int threads, peak_loop peak) {
  if (!peak.run) return 0;
  const long rounds = 4000000; // 20 to 60 ms
  return best(threads, double(rounds) * peak.operations * 1e-9, [&](int) { peak.run(rounds); });
}

}  // namespace

Peaks measure_peaks(int threads) {
  const char *isa = mk_isa_name();
  const size_t bytes = size_t(128) << 20; // of each thread: more than any cache
  std::vector<std::shared_ptr<char>> places;
  for (int i = 0; i < threads; i++) places.push_back(memory(bytes));
  return {arithmetic(threads, peak_float32(isa)), arithmetic(threads, peak_bf16(isa)), arithmetic(threads, peak_int16(isa)),
    arithmetic(threads, peak_int8(isa)), best(threads, double(bytes) * 1e-9, [&](int i) { peak_read(places[size_t(i)].get(), bytes); })};
}
