/**
 * Tuned paths of LJ-13 (ε = 2, 100 underdamped levels with the pair flow): knots, linear in their
 * logarithms between. Depth and confinement are in units of the system's own.
 */
export interface ClusterKnots {
  /** Where the knots stand, from 0 (level 0) to 1 (the last level). */
  readonly places: readonly number[];
  readonly depth: readonly number[];
  readonly attraction: readonly number[];
  readonly softness: readonly number[];
  readonly confinement: readonly number[];
  readonly stepSize: readonly number[];
  readonly friction: readonly number[];
  readonly clip: readonly number[];
}

const level99 = (levels: readonly number[]) => levels.map((level) => level / 99);

/** CMA-ES on the path ESS alone. */
export const forwardKnots: ClusterKnots = {
  places: level99([0, 7, 10, 16, 26, 35, 43, 53, 56, 59, 63, 72, 74, 75, 76, 77, 78, 80, 99]),
  // deno-fmt-ignore
  depth: [0.0259, 0.051, 0.0604, 0.0764, 0.0943, 0.117, 0.142, 0.167, 0.181, 0.205, 0.278, 0.403,
    0.444, 0.478, 0.543, 0.724, 0.857, 0.892, 1],
  // deno-fmt-ignore
  attraction: [1.02, 1.18, 1.22, 1.29, 1.39, 1.53, 1.67, 1.83, 1.84, 1.71, 1.54, 1.38, 1.34, 1.31,
    1.25, 1.09, 1.01, 0.986, 1],
  // deno-fmt-ignore
  softness: [0.263, 0.201, 0.188, 0.172, 0.149, 0.142, 0.135, 0.129, 0.117, 0.0867, 0.0549, 0.0344,
    0.0285, 0.0239, 0.0162, 0.0053, 0.00273, 0.00232, 0.0004],
  // deno-fmt-ignore
  confinement: [2.7, 2.92, 2.98, 3.06, 3.19, 3.34, 2.98, 2.64, 2.5, 2.28, 1.99, 1.63, 1.55, 1.48,
    1.36, 1.05, 0.905, 0.873, 1],
  // deno-fmt-ignore
  stepSize: [0.0707, 0.0651, 0.0638, 0.062, 0.0586, 0.0473, 0.0388, 0.0318, 0.0299, 0.0291, 0.0279,
    0.0267, 0.0254, 0.024, 0.0212, 0.0147, 0.0119, 0.0113, 0.0113],
  // deno-fmt-ignore
  friction: [1.81, 2.64, 2.9, 3.31, 4.07, 5.24, 6.61, 8.35, 8.75, 8.37, 7.81, 7.28, 7.14, 7.04, 6.84,
    6.27, 5.95, 5.87, 5.87],
  // deno-fmt-ignore
  clip: [20.8, 28.9, 31.3, 35.1, 42.2, 52.6, 64.4, 79.1, 85.2, 91.7, 102, 115, 118, 121, 126, 145,
    158, 161, 161],
};

/**
 * CMA-ES on both ends: half the sum of both Kullback-Leibler divergences minus the log of the ESS from
 * samples of the program's own `adjusted` paths, from a start with a confinement that saturates, weaker
 * clipping and friction, and fewer levels behind level 80 of the one above. Levels differ little in what
 * they add to W; clipping half as hard was most of the gain.
 */
export const twoSidedKnots: ClusterKnots = {
  places: level99([0, 8, 12, 25, 31, 41, 50, 62, 66, 70, 74, 76, 85, 88, 89, 90, 91, 92, 99]),
  // deno-fmt-ignore
  depth: [0.0237, 0.0447, 0.0546, 0.0786, 0.0907, 0.118, 0.151, 0.189, 0.205, 0.237, 0.304, 0.329,
    0.435, 0.492, 0.533, 0.621, 0.774, 0.889, 1],
  // deno-fmt-ignore
  attraction: [0.885, 1.05, 1.11, 1.24, 1.29, 1.4, 1.55, 1.73, 1.75, 1.6, 1.46, 1.42, 1.32, 1.28,
    1.24, 1.16, 1.05, 0.987, 1],
  // deno-fmt-ignore
  softness: [0.248, 0.199, 0.187, 0.165, 0.153, 0.146, 0.143, 0.14, 0.126, 0.0899, 0.0608, 0.0546,
    0.0358, 0.0266, 0.0207, 0.0119, 0.00492, 0.00279, 0.0004],
  // deno-fmt-ignore
  confinement: [2.63, 3.1, 3.32, 3.75, 3.8, 3.91, 3.32, 2.83, 2.77, 2.57, 2.36, 2.3, 1.9, 1.71, 1.59,
    1.37, 1.08, 0.928, 1],
  // deno-fmt-ignore
  stepSize: [0.078, 0.0697, 0.0669, 0.06, 0.0609, 0.0537, 0.0472, 0.0335, 0.0299, 0.0277, 0.0255,
    0.0224, 0.0205, 0.0185, 0.017, 0.0141, 0.0105, 0.00875, 0.00797],
  // deno-fmt-ignore
  friction: [0.934, 1.25, 1.36, 1.57, 1.88, 2.73, 3.78, 4.39, 4.5, 4.16, 3.8, 3.68, 3.25, 3.1, 3.02,
    2.87, 2.66, 2.53, 2.37],
  // deno-fmt-ignore
  clip: [39.8, 56.5, 63.5, 83.2, 92.9, 117, 145, 175, 189, 203, 221, 226, 250, 260, 267, 285, 318, 342,
    347],
};
