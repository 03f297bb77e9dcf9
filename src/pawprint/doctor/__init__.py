"""`pawprint doctor`: is everything that dvc.lock names whole, here and in the remote, and can DVC work here?"""
