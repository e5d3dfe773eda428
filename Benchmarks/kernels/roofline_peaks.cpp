// What several threads reach together at most: arithmetic in registers, and reading memory.
#include "roofline.h"

#include <algorithm>
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

// What is measured, and how much of it the threads did in a second, turn by turn.
struct Peak {
  double amount; // of a thread in one turn
  std::function<void(int)> work;
  std::vector<double> turns = {};
};

Peak arithmetic(peak_loop peak) {
  if (!peak.run) return {0, [](int) {}};
  const long rounds = 4000000; // 20 to 60 ms
  return {double(rounds) * peak.operations * 1e-9, [=](int) { peak.run(rounds); }};
}

}  // namespace

Peaks measure_peaks(int threads) {
  const char *isa = mk_isa_name();
  const size_t bytes = size_t(128) << 20; // of each thread: more than any cache
  std::vector<std::shared_ptr<char>> places;
  for (int i = 0; i < threads; i++) places.push_back(memory(bytes));
  std::vector<Peak> peaks = {arithmetic(peak_float32(isa)), arithmetic(peak_bf16(isa)), arithmetic(peak_int16(isa)),
    arithmetic(peak_int8(isa)), {double(bytes) * 1e-9, [&](int i) { peak_read(places[size_t(i)].get(), bytes); }}};
  // All by turns: on a shared machine a second or two can be less than half of what it is worth.
  for (int turn = 0; turn < 40; turn++) {
    for (Peak &peak : peaks) peak.turns.push_back(peak.amount * threads / together(threads, peak.work));
  }
  for (Peak &peak : peaks) std::sort(peak.turns.begin(), peak.turns.end());
  const std::vector<double> &reads = peaks[4].turns;
  return {peaks[0].turns.back(), peaks[1].turns.back(), peaks[2].turns.back(), peaks[3].turns.back(),
    reads[reads.size() / 2], reads.back()};
}
