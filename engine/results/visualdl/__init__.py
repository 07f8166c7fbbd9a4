"""What VisualDL shows besides curves: mistakes, PR and ROC, features, histograms, settings.

`evaluated_images.py` keeps what is needed while the test images are evaluated, `final_records.py`
writes it when a run ends.
"""
