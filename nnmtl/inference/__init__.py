"""From network output to the prediction of a case."""
