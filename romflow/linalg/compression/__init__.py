"""POD bases of snapshot sets larger than memory; `romflow.linalg.pod.pod` is the way in."""
