/**
 * Iterations of Julep's training done without leaving a device: trajectories, loss, gradient, Adam. The
 * plan (times, windows, learning rates) is made by src/julep/train_plan.ts, so that a backend needs
 * to know nothing about training; the state goes in and comes out, so that the job is a pure function
 * like any other and can be done again where a device was lost. How many iterations a job has changes no
 * bit of what comes out.
 */
import type { SampleRange } from "./backend.ts";

/** `first`, `count`: the samples of the first iteration. */
export interface TrainJob extends SampleRange {
  /** Iterations of this job, at least 1. */
  readonly iterations: number;
  /** Numbers between the first samples of iterations that follow one another. */
  readonly stride: number;
  /** (iterations, T + 1). */
  readonly times: Float64Array;
  /** (iterations, blocks of LANES samples, 2): first step and number of steps of a window. */
  readonly windows: Int32Array;
  /** Factor on the loss's slopes, one over the share of steps in a window. */
  readonly scale: number;
  /** Groups of the network's loss: 1 total, T per step. */
  readonly groups: number;
  /** Trajectories weigh softmax(tilt·W). */
  readonly tilt: number;
  /** Largest norm of the network's gradient, and of the knots'. */
  readonly gradientClip: number;
  /** Whether the knots of log ε move. */
  readonly learnStepSize: boolean;
  /** (iterations, 2): learning rates of network and knots. */
  readonly rates: Float64Array;
  /** (iterations): weight of an iteration's parameters in their average. */
  readonly averaging: Float64Array;
  /** (iterations, 2): 1 − β₁ᵗ and 1 − β₂ᵗ of the updates to come. */
  readonly corrections: Float64Array;
  /** (4, F) parameters (knots of log ε last), first and second moments, averages. */
  readonly state: Float32Array;
}

/** Figures of every iteration, and the state after the last. */
export interface TrainResult {
  /** As in the job. */
  readonly state: Float32Array;
  /** The loss, (iterations). */
  readonly losses: Float64Array;
  /** Of the network's gradient before it is clipped. */
  readonly gradientNorms: Float64Array;
  /** Trajectories that left the finite numbers. */
  readonly dropped: Int32Array;
  /** 1 where the gradient was finite and Adam made its update. */
  readonly updated: Int32Array;
  /** W of every trajectory, (iterations, count): the sum of its increments, in float32. */
  readonly logWeights: Float64Array;
}
