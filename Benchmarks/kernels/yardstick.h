// Timing of rivals on a machine that others use too: they take turns, and the fastest turn of each counts.
#pragma once
#include <chrono>
#include <cstdio>
#include <functional>
#include <random>
#include <vector>

using Floats = std::vector<float>;

inline Floats randoms(size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  Floats values(count);
  for (float &value : values) value = uniform(generator);
  return values;
}

inline double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The shortest time of one call of each rival, within `budget` seconds for all together.
inline std::vector<double> race(const std::vector<std::function<void()>> &rivals, double budget = 0.4) {
  std::vector<double> best(rivals.size(), 1e9);
  std::vector<int> repeats(rivals.size(), 1);
  for (size_t i = 0; i < rivals.size(); i++) {
    rivals[i]();
    double start = seconds();
    rivals[i]();
    double once = seconds() - start;
    repeats[i] = once > 2e-4 ? 1 : int(2e-4 / (once + 1e-9)) + 1;
  }
  for (double end = seconds() + budget; seconds() < end;) {
    for (size_t i = 0; i < rivals.size(); i++) {
      double start = seconds();
      for (int r = 0; r < repeats[i]; r++) rivals[i]();
      best[i] = std::min(best[i], (seconds() - start) / repeats[i]);
    }
  }
  return best;
}
