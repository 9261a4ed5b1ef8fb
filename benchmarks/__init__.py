"""aiemp beside supervisord and circus, measured in one run. Linux only; README.md says what is measured and how."""
