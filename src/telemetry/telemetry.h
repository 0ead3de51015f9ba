/*
 * telemetry: what leaves the process about itself. What is counted is declared where it is counted
 * (core/metric.h); here are the figures of the process as a whole. /metrics itself is served by the
 * edge.
 */
#pragma once

/* Registers process and build figures, once; they are read when somebody asks. */
void telemetry_start(const char *version);
